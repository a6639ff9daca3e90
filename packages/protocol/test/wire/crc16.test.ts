import { expect, it } from "vitest";
import { crc16 } from "../../src/wire/crc16.ts";
import { ascii } from "../support/hex.ts";

it("the check value of the spec is 0x4B37, and of nothing 0xFFFF", () => {
  expect(crc16(ascii("123456789"))).toBe(0x4b37);
  expect(crc16(new Uint8Array(0))).toBe(0xffff);
});

it("parts can be chained, whatever lies around them", () => {
  const bytes = ascii("..123456789..");
  expect(crc16(bytes, 6, 11, crc16(bytes, 2, 6))).toBe(0x4b37);
});

it("every single flipped bit of a frame's worth of bytes changes it", () => {
  const bytes = Uint8Array.from({ length: 490 }, (_, i) => (i * 31) & 0xff);
  const before = crc16(bytes);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
    if (crc16(flipped) === before) expect.fail(`flipping bit ${bit} was not seen`);
  }
});
