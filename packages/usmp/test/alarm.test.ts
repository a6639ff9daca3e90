import { instant } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { expect, test } from "vitest";
import { Alarm } from "../src/alarm.ts";

test("an alarm rings once, at the earliest moment that it was set for, and tells how late it is", () => {
  const { clock, alarm, rung } = virtualAlarm();
  alarm.set(instant(50));
  alarm.set(instant(80));
  clock.advance(100);
  expect(rung).toEqual([0]);
  alarm.set(instant(180));
  alarm.set(instant(150));
  clock.jump(1_000);
  expect(rung).toEqual([0, 950]);
  expect(clock.pendingAlarms).toBe(0);
});

test("an alarm that was cleared, or set for no moment, does not ring", () => {
  const { clock, alarm, rung } = virtualAlarm();
  alarm.set(instant(50));
  alarm.set(undefined);
  alarm.clear();
  clock.advance(100);
  expect(rung).toEqual([]);
});

function virtualAlarm(): { clock: VirtualClock; alarm: Alarm; rung: number[] } {
  const clock = new VirtualClock();
  const rung: number[] = [];
  return { clock, alarm: new Alarm(clock, { onAlarm: (lateMs) => void rung.push(lateMs) }), rung };
}
