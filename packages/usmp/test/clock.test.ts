import { addMs, instant } from "@usmp/protocol";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ProcessClock } from "../src/clock.ts";

describe("the process's clock", () => {
  /** What the system's monotonic clock shows; timers follow their own. */
  let monotonicMs = 0;

  beforeEach(() => {
    vi.useFakeTimers();
    monotonicMs = 1_000;
  });
  afterEach(() => void vi.useRealTimers());

  /** The process lives: its clock and its timers go on. */
  function live(ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      monotonicMs += 100;
      vi.advanceTimersByTime(100);
    }
  }

  test("goes with the monotonic clock while the process lives, busy or idle", () => {
    const clock = new ProcessClock(() => monotonicMs);
    expect(clock.now()).toBe(1_000);
    live(60_000);
    expect(clock.now(), "idle, with no alarm").toBe(61_000);
    clock.schedule(addMs(clock.now(), 100_000), () => {});
    live(60_000);
    expect(clock.now(), "idle, with an alarm").toBe(121_000);
    monotonicMs += 1_900;
    expect(clock.now(), "a turn of the event loop that took two seconds").toBe(122_900);
  });

  test("stands still while the process is stopped, and alarms that ring on waking ring early", () => {
    const clock = new ProcessClock(() => monotonicMs);
    let rings = 0;
    const at = addMs(clock.now(), 60_000);
    clock.schedule(at, () => rings++);
    live(10_000);
    monotonicMs += 600_000;
    expect(clock.now()).toBeLessThanOrEqual(12_000);
    vi.advanceTimersByTime(50_000);
    expect(rings).toBe(1);
    expect(clock.now()).toBeLessThan(at);
  });

  test("never goes back", () => {
    const clock = new ProcessClock(() => monotonicMs);
    clock.schedule(instant(1e9), () => {});
    let last = clock.now();
    for (const step of [10, 2_001, 0, 60_000, 1, 1_999, 2_000, 3_600_000, 5]) {
      monotonicMs += step;
      const now = clock.now();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  test("has no timer of its own while no alarm is pending", () => {
    const clock = new ProcessClock(() => monotonicMs);
    expect(vi.getTimerCount()).toBe(0);
    const cancel = clock.schedule(instant(5_000), () => {});
    clock.schedule(instant(2_000), () => {});
    expect(vi.getTimerCount()).toBe(3);
    cancel();
    cancel();
    live(2_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a cancelled alarm does not ring", () => {
    const clock = new ProcessClock(() => monotonicMs);
    let rings = 0;
    clock.schedule(instant(1_100), () => rings++)();
    clock.schedule(instant(1_200), () => rings++);
    live(5_000);
    expect(rings).toBe(1);
  });
});
