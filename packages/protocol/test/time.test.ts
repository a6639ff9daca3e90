import { expect, it } from "vitest";
import { addMs, earliest, instant } from "../src/time.ts";

const early = instant(5);
const late = instant(9);

it("the earlier of two moments is found in either order", () => {
  expect(earliest(early, late)).toBe(early);
  expect(earliest(late, early)).toBe(early);
  expect(earliest(early, early)).toBe(early);
});

it("an absent moment is never the earlier one", () => {
  expect(earliest(undefined, late)).toBe(late);
  expect(earliest(late, undefined)).toBe(late);
  expect(earliest(undefined, undefined)).toBeUndefined();
});

it("milliseconds are added to a moment", () => {
  expect(addMs(early, 4)).toBe(late);
});
