import { instant } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { expect, test } from "vitest";
import { Alarm } from "../src/alarm.ts";

test("an alarm rings once, at the earliest moment that it was set to, and can be set again from its ring", () => {
  const clock = new VirtualClock();
  const rungAt: number[] = [];
  const alarm: Alarm = new Alarm(clock, () => {
    rungAt.push(clock.now());
    if (rungAt.length === 1) alarm.set(instant(70));
  });
  for (const at of [50, 40, 60, undefined]) alarm.set(at === undefined ? at : instant(at));
  expect(clock.pendingAlarms).toBe(1);
  clock.advance(1_000);
  expect(rungAt).toEqual([40, 70]);
});

test("a cancelled alarm does not ring, and can be set again", () => {
  const clock = new VirtualClock();
  let rings = 0;
  const alarm = new Alarm(clock, () => rings++);
  alarm.cancel();
  alarm.set(instant(10));
  alarm.cancel();
  clock.advance(100);
  expect([rings, clock.pendingAlarms]).toEqual([0, 0]);
  alarm.set(instant(110));
  clock.advance(100);
  expect(rings).toBe(1);
});
