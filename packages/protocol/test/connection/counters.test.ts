import { expect, it } from "vitest";
import { Counters } from "../../src/connection/counters.ts";

it("drops are counted by cause, and only causes that happened are listed", () => {
  const counters = new Counters();
  expect([...counters.drops]).toEqual([]);
  counters.drop("bad-crc");
  counters.drop("replayed");
  counters.drop("bad-crc");
  expect([...counters.drops]).toEqual([
    ["bad-crc", 2],
    ["replayed", 1],
  ]);
  expect(counters.dropped("bad-crc")).toBe(2);
  expect(counters.dropped("bad-tag")).toBe(0);
});
