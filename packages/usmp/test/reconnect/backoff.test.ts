import { runSeed, SeededRandom } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { Backoff } from "../../src/reconnect/backoff.ts";

const SHAPE = { initialMs: 1_000, maxMs: 30_000, factor: 2 };

describe("the backoff", () => {
  test("has a ceiling that doubles up to its maximum, and starts again after a reset", () => {
    const highest = new Backoff(SHAPE, () => 1);
    const waits = Array.from({ length: 8 }, () => highest.next());
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    highest.reset();
    expect(highest.next()).toBe(1_000);
  });

  test("goes on to a ceiling of its own when it is given one, and takes no notice of numbers too large to count", () => {
    const highest = new Backoff(SHAPE, () => 1);
    for (let i = 0; i < 2_000; i++) highest.next();
    expect(highest.next()).toBe(30_000);
    expect(highest.next(300_000)).toBe(300_000);
  });

  test("jitters fully: waits are spread evenly from nothing to the ceiling", () => {
    const random = new SeededRandom(runSeed());
    const waits = Array.from({ length: 20_000 }, () => new Backoff(SHAPE, () => random.fraction()).next());
    const tenths = new Array<number>(10).fill(0);
    for (const wait of waits) tenths[Math.floor(wait / 100)] = (tenths[Math.floor(wait / 100)] as number) + 1;
    // 2,000 each; nine standard deviations off would be 380.
    for (const tenth of tenths) expect(Math.abs(tenth - 2_000)).toBeLessThan(380);
  });
});
