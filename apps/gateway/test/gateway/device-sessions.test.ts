import type { Session } from "usmp";
import { describe, expect, test } from "vitest";
import { DeviceSessions } from "../../src/gateway/device-sessions.ts";
import type { Device, KeyGeneration } from "../../src/records.ts";

const ID = "02:00:00:00:00:01";

class FakeSession {
  readonly deviceId = ID;
  readonly keyLabel: number;
  dismissed: string | undefined;

  constructor(generation: number) {
    this.keyLabel = generation;
  }

  dismiss(cause: string): void {
    this.dismissed ??= cause;
  }
}

const session = (generation: number): FakeSession & Session => new FakeSession(generation) as FakeSession & Session;

function registryWith(device: Partial<Device> | undefined) {
  return { device: () => device as Device | undefined };
}

const key = (generation: number) => ({ generation }) as KeyGeneration;
const active = registryWith({ state: "active", current: key(2), previous: { ...key(1), graceEndsAt: 0 } });

describe("a session that is established", () => {
  test.each([1, 2])("is admitted with generation %i, when that is good", (generation) => {
    const sessions = new DeviceSessions();
    const one = session(generation);
    expect(sessions.admit(one, active)).toEqual({ session: one, generation });
    expect(sessions.get(ID)).toEqual({ session: one, generation });
  });

  test.each<[string, Partial<Device> | undefined, string]>([
    ["its device was revoked", { state: "revoked" }, "revoked"],
    ["its device was suspended", { state: "suspended", current: key(2) }, "suspended"],
    ["its device was deleted", undefined, "key-changed"],
    ["its key was replaced", { state: "active", current: key(3) }, "key-changed"],
  ])("is ended at once when, since its HELLO, %s", (_, device, cause) => {
    const sessions = new DeviceSessions();
    const late = session(2);
    expect(sessions.admit(late, registryWith(device))).toBeUndefined();
    expect(late.dismissed).toBe(cause);
    expect(sessions.get(ID)).toBeUndefined();
  });
});

describe("a change of the registry", () => {
  const connected = () => {
    const sessions = new DeviceSessions();
    const [old, fresh] = [session(1), session(2)];
    for (const each of [old, fresh]) sessions.admit(each, active);
    return { sessions, old, fresh };
  };

  test("that ends a generation ends the sessions that proved it, and no other", () => {
    const { sessions, old, fresh } = connected();
    expect(sessions.endBy({ type: "generation-ended", id: ID, generation: 1, because: "rotated" })).toBe(1);
    expect([old.dismissed, fresh.dismissed]).toEqual(["rotated", undefined]);
  });

  test.each(["revoked", "suspended", "deleted"] as const)("that has a device %s ends all its sessions", (type) => {
    const { sessions, old, fresh } = connected();
    expect(sessions.endBy({ type, id: ID })).toBe(2);
    expect([old.dismissed, fresh.dismissed]).toEqual([type, type]);
  });

  test("of another device, or of a name, ends nothing", () => {
    const { sessions, old, fresh } = connected();
    expect(sessions.endBy({ type: "revoked", id: "02:00:00:00:00:02" })).toBe(0);
    expect(sessions.endBy({ type: "changed", id: ID })).toBe(0);
    expect([old.dismissed, fresh.dismissed]).toEqual([undefined, undefined]);
  });

  test("finds nothing to end once sessions have ended by themselves", () => {
    const { sessions, old, fresh } = connected();
    sessions.remove({ session: old, generation: 1 });
    const [one, two] = [session(1), session(2)].map((each) => sessions.admit(each, active) ?? expect.unreachable());
    for (const each of [one, two]) if (each !== undefined) sessions.remove(each);
    expect(sessions.get(ID)?.session).toBe(fresh);
  });
});
