import { describe, expect, test } from "vitest";
import { DeviceSessions } from "../src/device-sessions.ts";

interface Named {
  readonly deviceId: string;
  readonly name: string;
}

const session = (name: string, deviceId = "d"): Named => ({ deviceId, name });

describe("the sessions of a device", () => {
  test("a newer one that has proven itself replaces all that are older, proven or not, and none of another device", () => {
    const devices = new DeviceSessions<Named>(4);
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => session(name)) as [Named, Named, Named, Named];
    const other = session("other", "e");
    for (const each of [a, b, c, d, other]) expect(devices.add(each)).toBeUndefined();
    expect(devices.prove(other)).toEqual([]);
    expect(devices.prove(a)).toEqual([]);
    expect(devices.prove(c)).toEqual([a, b]);
    expect([a, c, d].map((each) => devices.isProven(each))).toEqual([true, true, false]);
  });

  test("an older one whose first frame comes late has to go itself, and does not end the newer", () => {
    const devices = new DeviceSessions<Named>(4);
    const [older, newer] = [session("older"), session("newer")];
    devices.add(older);
    devices.add(newer);
    expect(devices.prove(newer)).toEqual([older]);
    expect(devices.prove(older)).toEqual([older]);
    expect(devices.isProven(older)).toBe(false);
  });

  test("the oldest unproven one gives way when there are too many, and the proven one never", () => {
    const devices = new DeviceSessions<Named>(2);
    const [proven, a, b, c] = ["proven", "a", "b", "c"].map((name) => session(name)) as [Named, Named, Named, Named];
    devices.add(proven);
    devices.prove(proven);
    expect([devices.add(a), devices.add(b), devices.add(c)]).toEqual([undefined, undefined, a]);
    expect(devices.count("d")).toBe(4);
  });

  test("nothing is left of a device whose sessions have ended", () => {
    const devices = new DeviceSessions<Named>(4);
    const [a, b] = [session("a"), session("b")];
    devices.add(a);
    devices.add(b);
    devices.remove(a);
    expect(devices.count("d")).toBe(1);
    devices.remove(b);
    devices.remove(b);
    expect(devices.count("d")).toBe(0);
    expect(devices.prove(a)).toEqual([]);
    expect(devices.isProven(a)).toBe(false);
  });
});
