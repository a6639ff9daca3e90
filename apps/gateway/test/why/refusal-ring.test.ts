import { describe, expect, test } from "vitest";
import type { RefusalCause } from "../../src/why/cause.ts";
import { RefusalMinutes } from "../../src/why/refusal-minutes.ts";
import { RefusalRing, type RefusedAttempt } from "../../src/why/refusal-ring.ts";

const ID = "02:00:00:00:00:01";
const START = Date.UTC(2026, 11, 1);

function attempt(at: number, changes: Partial<RefusedAttempt> = {}): RefusedAttempt {
  const cause: RefusalCause = { cause: "wrong-key", form: undefined, tried: true };
  return {
    at: START + at,
    transport: "tcp",
    peer: `192.0.2.1:${at}`,
    source: "192.0.2.1",
    claimedId: ID,
    cause,
    ...changes,
  };
}

const source = (number: number): string => `192.0.${number >> 8}.${number & 255}`;

describe("refused attempts", () => {
  test("that are alike within a minute are one record, with the last peer and the number", () => {
    const ring = new RefusalRing();
    for (const at of [0, 10_000, 59_999]) ring.add(attempt(at), true);
    expect(ring.records()).toEqual([
      expect.objectContaining({ firstAt: START, lastAt: START + 59_999, count: 3, peer: "192.0.2.1:59999" }),
    ]);
    ring.add(attempt(60_000), true);
    expect(ring.records().map(({ count }) => count)).toEqual([1, 3]);
  });

  test.each<[string, Partial<RefusedAttempt>]>([
    ["another device", { claimedId: "02:00:00:00:00:02" }],
    ["another source", { source: "192.0.2.2" }],
    ["another transport", { transport: "udp" }],
    ["another cause", { cause: { cause: "server-full" } }],
    ["another form of the key", { cause: { cause: "wrong-key", form: "text", tried: true } }],
    ["a proof that was not looked into", { cause: { cause: "wrong-key", form: undefined, tried: false } }],
  ])("of %s are another record", (_, changes) => {
    const ring = new RefusalRing();
    ring.add(attempt(0), true);
    ring.add(attempt(1, changes), true);
    expect(ring.records()).toHaveLength(2);
  });

  test("that differ in an offset alone are one record", () => {
    const ring = new RefusalRing();
    for (const offset of [0, 10, 62]) {
      ring.add(
        attempt(offset, { cause: { cause: "malformed-frame", violation: "bad-crc", offset, during: "handshake" } }),
        false,
      );
    }
    expect(ring.records()).toMatchObject([{ count: 3 }]);
  });

  test("of one source keep 64 records, and a flood from everywhere keeps 1,000, without those of enrolled devices", () => {
    const ring = new RefusalRing();
    ring.add(attempt(0), true);
    for (let number = 0; number < 500; number++) ring.add(attempt(number, { claimedId: `stranger ${number}` }), false);
    expect(ring.records()).toHaveLength(1 + 64);
    for (let number = 0; number < 20_000; number++) {
      ring.add(attempt(number, { claimedId: `stranger ${number}`, source: source(number) }), false);
    }
    expect(ring.records()).toHaveLength(1 + 1_000);
    expect(ring.records(ID)).toHaveLength(1);
    expect(ring.records()[0]).toMatchObject({ claimedId: "stranger 19999" });
  });

  test("are handed over to be kept once nothing can be added to them, once", () => {
    const ring = new RefusalRing();
    ring.add(attempt(0), true);
    expect(ring.takeClosed(START + 59_999)).toEqual([]);
    expect(ring.takeClosed(START + 60_000)).toMatchObject([{ count: 1 }]);
    expect(ring.takeClosed(START + 120_000)).toEqual([]);
    ring.add(attempt(130_000), true);
    expect(ring.takeClosed(START + 130_001, true)).toMatchObject([{ firstAt: START + 130_000 }]);
  });

  test("that gave way are not handed over: a flood is not written to the disk", () => {
    const ring = new RefusalRing();
    for (let number = 0; number < 5_000; number++)
      ring.add(attempt(number, { claimedId: `stranger ${number}` }), false);
    expect(ring.takeClosed(START + 600_000)).toHaveLength(64);
  });

  test("come back after a restart in their order", () => {
    const before = new RefusalRing();
    for (const at of [0, 70_000, 140_000]) before.add(attempt(at), true);
    const after = new RefusalRing();
    after.load(before.records(), (id) => id === ID);
    expect(after.records()).toEqual(before.records());
    expect(after.takeClosed(START + 900_000, true)).toEqual([]);
  });
});

describe("refusals for the audit", () => {
  test("are one row for each cause, source and minute", () => {
    const minutes = new RefusalMinutes();
    for (const at of [0, 1, 59_999]) minutes.add("wrong-key", "192.0.2.1", START + at);
    minutes.add("timeout", "192.0.2.1", START + 2);
    expect(minutes.take(START + 59_999)).toEqual([]);
    expect(minutes.take(START + 60_000)).toEqual([
      { minute: START, cause: "wrong-key", source: "192.0.2.1", count: 3 },
      { minute: START, cause: "timeout", source: "192.0.2.1", count: 1 },
    ]);
    expect(minutes.take(START + 60_000, true)).toEqual([]);
  });

  test("are bounded however many sources there are, and none is left uncounted", () => {
    const minutes = new RefusalMinutes();
    for (let number = 0; number < 100_000; number++) minutes.add("wrong-key", source(number), START);
    const rows = minutes.take(START, true);
    expect(rows).toHaveLength(257);
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(100_000);
    expect(rows.at(-1)).toMatchObject({ source: "other sources" });
  });

  test("that could not be written come with the next", () => {
    const minutes = new RefusalMinutes();
    minutes.add("timeout", "192.0.2.1", START);
    minutes.giveBack(minutes.take(START, true));
    minutes.add("timeout", "192.0.2.1", START + 60_000);
    expect(minutes.take(START + 120_000)).toHaveLength(2);
  });
});
