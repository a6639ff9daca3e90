import { expect, it } from "vitest";
import { constantTimeEqual } from "../../src/crypto/equal.ts";
import { filled } from "../support/fixtures.ts";

it("equal bytes are equal, and every single flipped bit makes them different", () => {
  const a = filled(32, 0x5a);
  expect(constantTimeEqual(a, a.slice())).toBe(true);
  for (let bit = 0; bit < 256; bit++) {
    const b = a.slice();
    b[bit >>> 3] = (b[bit >>> 3] as number) ^ (1 << (bit & 7));
    expect(constantTimeEqual(a, b)).toBe(false);
  }
});

it("different lengths are different, whatever they share", () => {
  expect(constantTimeEqual(filled(8, 1), filled(9, 1))).toBe(false);
  expect(constantTimeEqual(filled(0, 0), filled(0, 0))).toBe(true);
});
