import { expect, it } from "vitest";
import { Recent } from "../../src/fairness/recent.ts";
import { after, START } from "../support/fixtures.ts";

it("knows a name for as long as it was told, from the last time that it was noted", () => {
  const recent = new Recent(10, 1_000);
  expect(recent.note("a", START)).toBe(true);
  expect(recent.note("a", after(500))).toBe(false);
  expect(recent.has("a", after(1_499))).toBe(true);
  expect(recent.has("a", after(1_500))).toBe(false);
  expect(recent.note("a", after(1_500))).toBe(true);
});

it("forgets the name that was noted longest ago when there are too many, and says so", () => {
  const forgotten: string[] = [];
  const recent = new Recent(2, 1_000, (name) => forgotten.push(name));
  for (const name of ["a", "b", "a", "c"]) recent.note(name, START);
  expect(forgotten).toEqual(["b"]);
  expect(["a", "b", "c"].map((name) => recent.has(name, START))).toEqual([true, false, true]);
  recent.expire(after(1_000));
  expect(forgotten).toEqual(["b", "a", "c"]);
  expect(recent.size).toBe(0);
});
