import { instant } from "@usmp/protocol";
import { seeds, VirtualClock, withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import { Alarm } from "../src/alarm.ts";

test("any number of alarms have one of the clock's, and none when all are cleared", () => {
  const clock = new VirtualClock();
  const alarms = Array.from({ length: 100 }, (_, i) => {
    const alarm = new Alarm(clock, { onAlarm: () => {} });
    alarm.set(instant(1_000 - i));
    return alarm;
  });
  expect(clock.pendingAlarms).toBe(1);
  for (const alarm of alarms) alarm.clear();
  expect(clock.pendingAlarms).toBe(0);
});

test("alarms ring in their order, each at its moment, whatever was set, put off and cleared meanwhile", () => {
  for (const seed of seeds(50)) {
    withSeed(seed, (random) => {
      const clock = new VirtualClock();
      const expected = new Map<number, number>();
      const rung: [number, number][] = [];
      const alarms = Array.from({ length: 40 }, (_, id) => new Alarm(clock, { onAlarm: () => ring(id) }));
      const ring = (id: number): void => {
        rung.push([id, clock.now()]);
        expect(expected.get(id)).toBe(clock.now());
        expected.delete(id);
      };
      for (let step = 0; step < 400; step++) {
        const id = random.int(alarms.length);
        const at = clock.now() + 1 + random.int(500);
        if (random.chance(0.2)) {
          alarms[id]?.clear();
          expected.delete(id);
        } else {
          alarms[id]?.set(instant(at));
          expected.set(id, Math.min(at, expected.get(id) ?? Number.POSITIVE_INFINITY));
        }
        if (random.chance(0.3)) clock.advance(random.int(100));
      }
      clock.advance(1_000);
      expect(expected.size).toBe(0);
      expect(clock.pendingAlarms).toBe(0);
      expect(rung.map(([, at]) => at)).toEqual(rung.map(([, at]) => at).sort((a, b) => a - b));
    });
  }
});

test("an alarm that is set again as it rings has its next turn, and one whose owner throws takes no other along", () => {
  const clock = new VirtualClock();
  const rung: string[] = [];
  const again: Alarm = new Alarm(clock, {
    onAlarm: () => {
      rung.push("again");
      if (rung.length < 3) again.set(clock.now());
    },
  });
  const broken = new Alarm(clock, {
    onAlarm: () => {
      throw new Error("the owner's own");
    },
  });
  const other = new Alarm(clock, { onAlarm: () => rung.push("other") });
  broken.set(instant(5));
  again.set(instant(10));
  other.set(instant(10));
  expect(() => clock.advance(10)).toThrow("the owner's own");
  clock.advance(20);
  expect(rung.sort()).toEqual(["again", "again", "other"]);
});
