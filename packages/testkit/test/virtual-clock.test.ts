import { instant } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { describe, expect, test } from "vitest";

describe("a virtual clock", () => {
  test("rings alarms at their own moments, by time, then in the order of scheduling", () => {
    const { clock, rung, alarm } = clockWithAlarms();
    alarm("late", 30);
    alarm("first of two", 20);
    alarm("second of two", 20);
    alarm("early", 10);
    clock.advance(25);
    expect(rung).toEqual(["early at 10", "first of two at 20", "second of two at 20"]);
    expect(clock.now()).toBe(25);
    clock.advance(5);
    expect(rung.at(-1)).toBe("late at 30");
  });

  test("stands still until it is moved, and rings nothing from inside schedule()", () => {
    const { clock, rung, alarm } = clockWithAlarms(100);
    alarm("overdue", 50);
    expect([clock.now(), rung]).toEqual([100, []]);
    clock.advance(0);
    expect(rung).toEqual(["overdue at 100"]);
  });

  test("jumps: what fell due meanwhile rings in order, and late", () => {
    const { clock, rung, alarm } = clockWithAlarms();
    alarm("second", 20);
    alarm("first", 10);
    alarm("later", 200);
    clock.jump(100);
    expect(rung).toEqual(["first at 100", "second at 100"]);
    expect(clock.now()).toBe(100);
  });

  test("rings what an alarm schedules within the same advance", () => {
    const { clock, rung, alarm } = clockWithAlarms();
    clock.schedule(instant(10), () => alarm("child", 15));
    clock.advance(20);
    expect(rung).toEqual(["child at 15"]);
  });

  test("does not ring what was cancelled, before or by another alarm; cancelling twice is harmless", () => {
    const { clock, rung, alarm } = clockWithAlarms();
    const cancelled = alarm("cancelled", 10);
    alarm("stays", 10);
    cancelled();
    cancelled();
    const victim = alarm("victim", 12);
    clock.schedule(instant(11), victim);
    clock.advance(20);
    expect(rung).toEqual(["stays at 10"]);
    expect(clock.pendingAlarms).toBe(0);
  });

  test("runs until no alarm is left, and refuses to run for ever", () => {
    const { clock, rung, alarm } = clockWithAlarms();
    alarm("only", 5000);
    clock.runUntilIdle();
    expect([rung, clock.now()]).toEqual([["only at 5000"], 5000]);
    const everySecond = (): void => {
      clock.schedule(instant(clock.now() + 1000), everySecond);
    };
    everySecond();
    expect(() => clock.runUntilIdle(10_000)).toThrow(
      "not idle after 10000 ms of virtual time: 1 alarms, the next at 16000",
    );
  });

  test("lets promises settle between alarms when it elapses", async () => {
    const { clock, rung, alarm } = clockWithAlarms();
    const chain = async (): Promise<void> => {
      for (const at of [10, 20, 30]) {
        await new Promise<void>((resolve) => void clock.schedule(instant(at), resolve));
        rung.push(`awaited at ${clock.now()}`);
      }
    };
    const done = chain();
    alarm("between", 15);
    await clock.elapse(30);
    await done;
    expect(rung).toEqual(["awaited at 10", "between at 15", "awaited at 20", "awaited at 30"]);
  });

  test("orders a thousand alarms in random order", () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    for (let i = 0; i < 1000; i++) clock.schedule(instant((i * 7919) % 1009), () => times.push(clock.now()));
    expect(clock.nextAlarmAt()).toBe(0);
    clock.runUntilIdle();
    expect(times).toHaveLength(1000);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

function clockWithAlarms(startMs = 0) {
  const clock = new VirtualClock(startMs);
  const rung: string[] = [];
  const alarm = (name: string, at: number) => clock.schedule(instant(at), () => rung.push(`${name} at ${clock.now()}`));
  return { clock, rung, alarm };
}
