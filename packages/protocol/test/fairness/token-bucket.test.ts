import { expect, it } from "vitest";
import { TokenBucket } from "../../src/fairness/token-bucket.ts";
import { after, START } from "../support/fixtures.ts";

it("gives its burst at once, then its rate, and never saves up more than a burst", () => {
  const bucket = new TokenBucket({ perSecond: 20, burst: 5 }, START);
  const takenAt = (ms: number) => {
    let taken = 0;
    while (bucket.take(after(ms))) taken++;
    return taken;
  };
  expect([0, 49, 50, 100, 1_100, 60_000].map(takenAt)).toEqual([5, 0, 1, 1, 5, 5]);
});

it("has tokens to spare while more than half of its burst is there", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 10 }, START);
  let spared = 0;
  while (bucket.takeSpare(START)) spared++;
  expect(spared).toBe(5);
  let left = 0;
  while (bucket.take(START)) left++;
  expect(left).toBe(5);
  expect(bucket.takeSpare(after(500))).toBe(false);
  expect(bucket.takeSpare(after(600))).toBe(true);
});

it("keeps fractions: a rate below one a second still gives", () => {
  const bucket = new TokenBucket({ perSecond: 0.5, burst: 1 }, START);
  expect(bucket.take(START)).toBe(true);
  for (let ms = 100; ms < 2_000; ms += 100) expect(bucket.take(after(ms))).toBe(false);
  expect(bucket.take(after(2_010))).toBe(true);
});
