import { expect, it } from "vitest";
import { concatBytes, copyBytes, readU16, readU32, writeU16, writeU32 } from "../../src/wire/bytes.ts";

it("integers are little-endian at any offset", () => {
  const bytes = new Uint8Array(8);
  writeU16(bytes, 1, 0xabcd);
  writeU32(bytes, 3, 0x01020384);
  expect([...bytes]).toEqual([0, 0xcd, 0xab, 0x84, 0x03, 0x02, 0x01, 0]);
  expect(readU16(bytes, 1)).toBe(0xabcd);
  expect(readU32(bytes, 3)).toBe(0x01020384);
});

it("the highest number is read back unsigned", () => {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, 0xffffffff);
  expect(readU32(bytes, 0)).toBe(0xffffffff);
});

it("parts are joined in order into memory of their own", () => {
  const first = Uint8Array.of(1, 2);
  const joined = concatBytes(first, new Uint8Array(0), Uint8Array.of(3));
  first[0] = 9;
  expect([...joined]).toEqual([1, 2, 3]);
  expect(concatBytes()).toHaveLength(0);
});

it("a copy of a part has memory of its own, also where the source is a Node Buffer", () => {
  const source = Buffer.from([1, 2, 3, 4]);
  const copies = [copyBytes(source), copyBytes(source, 1), copyBytes(source, 1, 3)];
  source.fill(9);
  expect(copies.map((copy) => [...copy])).toEqual([
    [1, 2, 3, 4],
    [2, 3, 4],
    [2, 3],
  ]);
});
