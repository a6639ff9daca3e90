import { expect, test } from "vitest";
import { SeenDevices } from "../../src/why/seen-devices.ts";

const START = Date.UTC(2026, 11, 1);
const HOUR_MS = 3_600_000;
const seen = (id: string, source = "192.0.2.1") => ({ id, transport: "tcp" as const, source });

test("an id is listed with its attempts, the one seen last first", () => {
  const devices = new SeenDevices();
  devices.add(seen("a"), START);
  devices.add(seen("b"), START + 1);
  devices.add(seen("a"), START + 2);
  expect(devices.list()).toEqual([
    { ...seen("a"), firstSeenAt: START, lastSeenAt: START + 2, attempts: 2 },
    { ...seen("b"), firstSeenAt: START + 1, lastSeenAt: START + 1, attempts: 1 },
  ]);
});

test("a source has four places: the id that was silent longest gives way", () => {
  const devices = new SeenDevices();
  for (const [index, id] of ["a", "b", "c", "d", "a", "e"].entries()) devices.add(seen(id), START + index);
  expect(devices.list().map(({ id }) => id)).toEqual(["e", "a", "d", "c"]);
});

test("256 places are all there are", () => {
  const devices = new SeenDevices();
  for (let number = 0; number < 10_000; number++) devices.add(seen(`id ${number}`, `source ${number}`), START + number);
  expect(devices.list()).toHaveLength(256);
  expect(devices.list()[0]?.id).toBe("id 9999");
});

test("an id is forgotten after 24 hours, and when it is enrolled", () => {
  const devices = new SeenDevices();
  devices.add(seen("a"), START);
  devices.add(seen("b"), START + HOUR_MS);
  devices.add(seen("b", "192.0.2.2"), START + HOUR_MS);
  devices.forgetOld(START + 24 * HOUR_MS);
  expect(devices.list()).toHaveLength(3);
  devices.forgetOld(START + 24 * HOUR_MS + 1);
  expect(devices.list().map(({ id }) => id)).toEqual(["b", "b"]);
  devices.remove("b");
  expect(devices.list()).toEqual([]);
});

test("what an earlier run kept comes back within the same bounds", () => {
  const devices = new SeenDevices();
  devices.load(
    Array.from({ length: 6 }, (_, at) => ({ ...seen(`id ${at}`), firstSeenAt: at, lastSeenAt: at, attempts: 1 })),
  );
  expect(devices.list().map(({ id }) => id)).toEqual(["id 5", "id 4", "id 3", "id 2"]);
});
