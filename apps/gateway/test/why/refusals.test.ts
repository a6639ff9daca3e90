import { VirtualClock } from "@usmp/testkit";
import type { Refusal } from "usmp";
import { expect, test } from "vitest";
import type { RefusalSummary } from "../../src/audit/audit-log.ts";
import type { SeenDevice } from "../../src/records.ts";
import type { Registry } from "../../src/registry/registry.ts";
import type { WallClock } from "../../src/time/wall-clock.ts";
import type { RefusalRecord } from "../../src/why/refusal-record.ts";
import { Refusals } from "../../src/why/refusals.ts";

const START = Date.UTC(2026, 11, 1);
const UNKNOWN = "02:00:00:00:00:99";

/** What Refusals needs of a registry that knows no device, and whose database may be gone. */
class EmptyRegistry {
  gone = false;
  readonly ageMs = 0;
  readonly rows: RefusalSummary[] = [];
  readonly saved: RefusalRecord[] = [];
  seen: readonly SeenDevice[] = [];
  readonly audit = {
    appendRefusals: async (rows: readonly RefusalSummary[]) => {
      this.#reach();
      this.rows.push(...rows);
    },
  };

  device(): undefined {}
  onChange(): () => void {
    return () => {};
  }
  async tombstone(): Promise<undefined> {
    this.#reach();
  }
  async saveRefusals(records: readonly RefusalRecord[]): Promise<void> {
    this.#reach();
    this.saved.push(...records);
  }
  async saveSeen(devices: readonly SeenDevice[]): Promise<void> {
    this.#reach();
    this.seen = devices;
  }

  #reach(): void {
    if (this.gone) throw new Error("the database is gone");
  }
}

function make() {
  const registry = new EmptyRegistry();
  const wall = { at: START };
  const wallClock = { now: () => wall.at, doubt: undefined } as WallClock;
  return { registry, wall, refusals: new Refusals(registry as unknown as Registry, wallClock, new VirtualClock()) };
}

const peer = { transport: "tcp", host: "192.0.2.1", port: 4000 } as const;
const full: Refusal = { peer, claimedDeviceId: undefined, reason: { code: "server-full" } };
const wrongKey: Refusal = {
  peer,
  claimedDeviceId: UNKNOWN,
  reason: { code: "authentication-failed", cause: "wrong-key" },
};
/** Turns of the event loop, more than what was noted needs. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("what the database does not take waits for it: audit rows, records and ids that were seen", async () => {
  const { registry, wall, refusals } = make();
  refusals.note(full);
  refusals.note(wrongKey);
  await settled();
  wall.at += 120_000;
  registry.gone = true;
  await expect(refusals.save()).rejects.toThrow("gone");
  await expect(refusals.save()).rejects.toThrow("gone");
  registry.gone = false;
  await refusals.save();
  expect(registry.rows.map(({ cause, count }) => [cause, count])).toEqual([
    ["server-full", 1],
    ["unknown-device", 1],
  ]);
  expect(registry.saved.map(({ cause }) => cause.cause)).toEqual(["server-full", "unknown-device"]);
  expect(registry.seen).toMatchObject([{ id: UNKNOWN, source: "192.0.2.1" }]);
  await refusals.save();
  expect(registry.saved).toHaveLength(2);
});

test("a proof that cannot be looked into, because the database is gone, is told as that", async () => {
  const { registry, refusals } = make();
  registry.gone = true;
  refusals.note(wrongKey);
  await settled();
  expect(refusals.records()).toMatchObject([
    { claimedId: UNKNOWN, cause: { cause: "internal", message: expect.stringContaining("gone") } },
  ]);
});

test("one diagnosis a turn: a burst of them does not hold up the event loop", async () => {
  const { refusals } = make();
  const order: string[] = [];
  refusals.onRecord(() => order.push("diagnosis"));
  for (let attempt = 0; attempt < 3; attempt++) refusals.note(wrongKey);
  for (let turn = 0; turn < 6; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    order.push("turn");
  }
  expect(order.join(" ")).not.toContain("diagnosis diagnosis");
  expect(order.filter((what) => what === "diagnosis")).toHaveLength(3);
});
