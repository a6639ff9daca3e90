import { expect, test } from "vitest";
import { SharedCheck } from "../../src/observe/shared-check.ts";

test("one check is in flight, its result serves a second, and then another is made", async () => {
  let now = 0;
  const ends: ((result: number) => void)[] = [];
  const check = new SharedCheck<number>(
    { now: () => now as never },
    () => new Promise<number>((resolve) => ends.push(resolve)),
  );
  const asked = [check.result(), check.result()];
  now = 5_000; // a check that hangs is not joined by another
  asked.push(check.result());
  expect(ends).toHaveLength(1);
  ends[0]?.(1);
  expect(await Promise.all(asked)).toEqual([1, 1, 1]);
  now = 5_999;
  expect(await check.result()).toBe(1);
  expect(ends).toHaveLength(1);
  now = 6_000;
  const later = check.result();
  expect(ends).toHaveLength(2);
  ends[1]?.(2);
  expect(await later).toBe(2);
});
