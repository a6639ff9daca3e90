import { describe, expect, it } from "vitest";
import { Gate } from "../../src/fairness/gate.ts";
import { type Limits, parseLimits } from "../../src/fairness/limits.ts";
import type { Instant } from "../../src/time.ts";
import { after, DEVICE_ID, OTHER_DEVICE_ID, START } from "../support/fixtures.ts";

const HOME = "198.51.100.7";
const ELSEWHERE = "198.51.100.8";

/** Nothing to spare, one for each source, one overdue. */
const ALMOST_NONE = {
  newcomersPerSecond: 1,
  newcomersPerSourcePerSecond: 1,
  newcomersPerSourceBurst: 1,
  overdueNewcomersPerSecond: 1,
};

function newGate(limits: { readonly [Key in keyof Limits]?: number } = {}): Gate {
  return new Gate(parseLimits(limits), START);
}

/** A device id of its own for each number. */
function device(number: number): Uint8Array {
  return Uint8Array.from([2, 0, 0, number >> 16, number >> 8, number]);
}

/** How many of `count` HELLOs of as many devices are let in. */
function admitted(gate: Gate, count: number, source: string, now: Instant, first = 0): number {
  let admitted = 0;
  for (let i = first; i < first + count; i++) if (gate.admit(device(i), source, now)) admitted++;
  return admitted;
}

describe("who has proved nothing", () => {
  it("may begin as many handshakes as there are to spare, then what its source's share allows, whatever id it names", () => {
    const gate = newGate();
    let began = 0;
    while (gate.admit(DEVICE_ID, HOME, START)) began++;
    expect(began).toBe(1_000 + 100);
    expect(gate.admit(DEVICE_ID, ELSEWHERE, START), "another source has a share of its own").toBe(true);
    let steady = 0;
    for (let ms = 1; ms <= 5_000; ms += 0.2) if (gate.admit(DEVICE_ID, HOME, after(ms))) steady++;
    expect(steady / 5).toBeGreaterThan(1_900);
    expect(steady / 5).toBeLessThanOrEqual(2_000);
  });

  it("is refused nothing while there is enough for all, however often it failed", () => {
    const gate = newGate();
    for (let ms = 0; ms < 10_000; ms += 0.6) expect(gate.admit(DEVICE_ID, HOME, after(ms))).toBe(true);
  });

  it("is answered once a second whatever others at its source send", () => {
    const gate = newGate();
    for (let second = 0; second < 5; second++) {
      for (let i = 0; i < 3_000; i++) gate.admit(DEVICE_ID, HOME, after(second * 1_001));
      expect(gate.admit(OTHER_DEVICE_ID, HOME, after(second * 1_001)), `in second ${second}`).toBe(true);
    }
  });

  it("costs no more than is stated, with ids as many as it likes, from one source or from many", () => {
    const gate = newGate();
    expect(admitted(gate, 20_000, HOME, START)).toBe(1_000 + 100 + 1_000);
    const many = newGate();
    let began = 0;
    for (let i = 0; i < 20_000; i++) if (many.admit(device(i), `source ${i}`, START)) began++;
    expect(began).toBe(2_000 + 1_000);
  });

  it("cannot use up the tries of other sources with ids as many as it likes", () => {
    const gate = newGate();
    admitted(gate, 20_000, HOME, START);
    expect(admitted(gate, 100, ELSEWHERE, START)).toBe(100);
  });
});

describe("a source at which a device proved itself lately", () => {
  it("has no limit on its handshakes: 500 devices behind one address come in at once", () => {
    const gate = newGate(ALMOST_NONE);
    gate.noteProven(DEVICE_ID, HOME, START);
    expect(admitted(gate, 500, HOME, START)).toBe(500);
    expect(admitted(gate, 500, ELSEWHERE, START)).toBe(2);
  });

  it("keeps that while one of its devices is remembered, and each for the time that is set", () => {
    const gate = newGate({ ...ALMOST_NONE, provenMs: 60_000 });
    gate.noteProven(DEVICE_ID, HOME, START);
    gate.noteProven(OTHER_DEVICE_ID, HOME, after(30_000));
    gate.noteProven(OTHER_DEVICE_ID, HOME, after(40_000));
    expect(gate.provenPairs).toBe(2);
    expect(gate.provenPair(DEVICE_ID, HOME, after(59_999))).toBe("d0d1d2d3d4d5 198.51.100.7");
    expect(gate.provenPair(DEVICE_ID, HOME, after(60_000))).toBeUndefined();
    expect(gate.provenPair(OTHER_DEVICE_ID, ELSEWHERE, after(60_000)), "a pair, not a device").toBeUndefined();
    expect(admitted(gate, 100, HOME, after(99_999))).toBe(100);
    expect(admitted(gate, 100, HOME, after(100_000), 1_000)).toBe(2);
    expect(gate.provenPairs).toBe(0);
  });

  it("is remembered up to a bound, the latest first", () => {
    const gate = newGate({ provenPairs: 100 });
    for (let i = 0; i < 1_000; i++) gate.noteProven(device(i), `source ${i}`, START);
    expect(gate.provenPairs).toBe(100);
    expect(gate.provenPair(device(899), "source 899", START)).toBeUndefined();
    expect(gate.provenPair(device(900), "source 900", START)).toBeDefined();
  });

  it("has a quarter as many cookies apart, so that a flood from forged sources leaves it some", () => {
    const gate = newGate({ cookiesPerSecond: 100 });
    gate.noteProven(DEVICE_ID, HOME, START);
    const issued = (source: string) => Array.from({ length: 500 }, () => gate.takeCookie(source, START));
    expect(issued(ELSEWHERE).filter(Boolean)).toHaveLength(100);
    expect(issued(HOME).filter(Boolean)).toHaveLength(25);
    expect(gate.takeCookie(ELSEWHERE, after(100))).toBe(true);
  });
});

it("sources are counted up to a bound: the one that came longest ago is forgotten, and begins anew", () => {
  const gate = newGate({ ...ALMOST_NONE, newcomersPerSecond: 100, overdueNewcomersPerSecond: 1, countedSources: 10 });
  for (let i = 0; i < 51; i++) gate.admit(device(i), "others", START);
  expect(gate.admit(DEVICE_ID, HOME, START)).toBe(true);
  expect(gate.admit(DEVICE_ID, HOME, START)).toBe(false);
  for (let i = 0; i < 10; i++) gate.admit(device(i), `source ${i}`, START);
  expect(gate.admit(DEVICE_ID, HOME, START)).toBe(true);
});

it("wrong proofs beyond those of each handshake are looked at up to a rate of all", () => {
  const gate = newGate({ wrongProofsPerSecond: 50 });
  const looked = Array.from({ length: 1_000 }, () => gate.takeWrongProof(START));
  expect(looked.filter(Boolean)).toHaveLength(50);
  expect(gate.takeWrongProof(after(20))).toBe(true);
});
