import { describe, expect, it } from "vitest";
import { ReplayWindow } from "../../src/record/replay-window.ts";

/** Offers a number as a receiver does, and answers whether it was taken. */
function take(window: ReplayWindow, seq: number): boolean {
  if (window.check(seq) !== "fresh") return false;
  window.mark(seq);
  return true;
}

describe("a replay window", () => {
  it("begins before the first number", () => {
    const window = new ReplayWindow();
    expect(window.newest).toBe(-1);
    expect(window.check(0)).toBe("fresh");
  });

  it("is not moved by a check: only an authentic frame moves it", () => {
    const window = new ReplayWindow();
    window.check(1_000_000);
    expect(window.newest).toBe(-1);
    expect(take(window, 0)).toBe(true);
  });

  it.each([
    { newest: 63, oldest: 0 },
    { newest: 64, oldest: 1 },
    { newest: 65, oldest: 2 },
    { newest: 2 ** 31, oldest: 2 ** 31 - 63 },
    { newest: 2 ** 32 - 2, oldest: 2 ** 32 - 65 },
    { newest: 2 ** 32 - 1, oldest: 2 ** 32 - 64 },
  ])("with newest $newest takes each number down to $oldest once, and none below", ({ newest, oldest }) => {
    const window = new ReplayWindow();
    expect(take(window, newest)).toBe(true);
    for (let seq = newest - 1; seq >= oldest; seq--) expect(take(window, seq)).toBe(true);
    for (let seq = newest; seq >= oldest; seq--) expect(window.check(seq)).toBe("duplicate");
    if (oldest > 0) expect(window.check(oldest - 1)).toBe("too-old");
    expect(window.newest).toBe(newest);
  });

  it.each([1, 2, 31, 32, 33, 62, 63, 64, 65, 1_000])("remembers what it took when it moves on by %i", (by) => {
    const window = new ReplayWindow();
    const taken = [100, 98, 97, 70, 69, 68, 40, 37];
    for (const seq of taken) expect(take(window, seq)).toBe(true);
    expect(take(window, 100 + by)).toBe(true);
    for (let seq = 37; seq <= 100; seq++) {
      const old = 100 + by - seq >= 64;
      const expected = old ? "too-old" : taken.includes(seq) ? "duplicate" : "fresh";
      expect(window.check(seq), `seq ${seq}`).toBe(expected);
    }
  });

  it("agrees with a plain set of numbers on a long disordered run", () => {
    const window = new ReplayWindow();
    const taken = new Set<number>();
    let newest = -1;
    for (let i = 0; i < 20_000; i++) {
      // Steps forward by up to 90 and back by up to 80, without a pattern of 32 or 64.
      const seq = Math.max(0, Math.floor(i / 3) + ((i * 7919) % 171) - 80);
      const expected = newest - seq >= 64 ? "too-old" : taken.has(seq) ? "duplicate" : "fresh";
      if (window.check(seq) !== expected) expect.fail(`step ${i}, seq ${seq}: not ${expected}`);
      if (expected !== "fresh") continue;
      window.mark(seq);
      taken.add(seq);
      newest = Math.max(newest, seq);
    }
    expect(taken.size).toBeGreaterThan(2_000);
  });
});

/**
 * WireGuard's counter self-test (Linux drivers/net/wireguard/selftest/counter.c), its window of 8,128 numbers read as our 64, and
 * its limit on counters read as our last sequence number.
 */
describe("WireGuard's counter self-test", () => {
  const WINDOW = 64;
  const LIMIT = 2 ** 32;

  it("a run of single steps, jumps and repeats", () => {
    const window = new ReplayWindow();
    const steps: [number, boolean][] = [
      [0, true],
      [1, true],
      [1, false],
      [9, true],
      [8, true],
      [7, true],
      [7, false],
      [WINDOW, true],
      [WINDOW - 1, true],
      [WINDOW - 1, false],
      [WINDOW - 2, true],
      [2, true],
      [2, false],
      [WINDOW + 16, true],
      [3, false],
      [WINDOW + 16, false],
      [WINDOW * 4, true],
      [WINDOW * 4 - (WINDOW - 1), true],
      [10, false],
      [WINDOW * 4 - WINDOW, false],
      [WINDOW * 4 - (WINDOW + 1), false],
      [WINDOW * 4 - (WINDOW - 2), true],
      [WINDOW * 4 + 1 - WINDOW, false],
      [0, false],
      [LIMIT - 2, true],
      [LIMIT - 3, true],
      [LIMIT - 3, false],
      [LIMIT - 4, true],
      [LIMIT - WINDOW + 1, true],
      [LIMIT - WINDOW - 1, true],
      [LIMIT - WINDOW - 2, false],
      [LIMIT - 2, false],
      [LIMIT - 1, true],
      [0, false],
    ];
    expect(steps.map(([seq]) => [seq, take(window, seq)])).toEqual(steps);
  });

  it("every number of a window upwards, then 0 again", () => {
    const window = new ReplayWindow();
    for (let seq = 1; seq <= WINDOW; seq++) expect(take(window, seq)).toBe(true);
    expect(take(window, 0)).toBe(false);
    const other = new ReplayWindow();
    for (let seq = 0; seq < WINDOW; seq++) expect(take(other, seq)).toBe(true);
    expect(take(other, 0)).toBe(false);
  });

  it("every number of a window downwards", () => {
    const window = new ReplayWindow();
    for (let seq = WINDOW - 1; seq >= 0; seq--) expect(take(window, seq)).toBe(true);
    expect(take(window, WINDOW)).toBe(true);
    expect(take(window, 0)).toBe(false);
    const other = new ReplayWindow();
    for (let seq = WINDOW; seq >= 1; seq--) expect(take(other, seq)).toBe(true);
    expect(take(other, 0)).toBe(false);
  });

  it("a window downwards, a jump above it, and 0", () => {
    const window = new ReplayWindow();
    for (let seq = WINDOW - 1; seq >= 1; seq--) expect(take(window, seq)).toBe(true);
    expect(take(window, WINDOW + 1)).toBe(true);
    expect(take(window, 0)).toBe(false);
    const other = new ReplayWindow();
    for (let seq = WINDOW - 1; seq >= 1; seq--) expect(take(other, seq)).toBe(true);
    expect(take(other, 0)).toBe(true);
    expect(take(other, WINDOW + 1)).toBe(true);
  });
});
