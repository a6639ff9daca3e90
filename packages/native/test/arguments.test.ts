import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Addon } from "../src/addon.ts";
import { absent, rawAddon } from "./addon.ts";

const KNOWN_CODES = ["ERR_INVALID_ARG_TYPE", "ERR_OUT_OF_RANGE", "ERR_USMP_STALE_KEY"];
const CANARY = 0xee;
const seeded = { seed: Number(process.env["USMP_SEED"] ?? 20_261_124), numRuns: 3_000 } as const;

/** No sockets: a number that is some descriptor of this process would be written to. */
const NAMES = [
  "randomFill",
  "hmacSha256",
  "generateKeyPair",
  "importKeyPair",
  "wipeKeyPair",
  "deriveTrafficKeys",
  "importTrafficKeys",
  "nextTrafficKeys",
  "wipeTrafficKeys",
  "seal",
  "sealRun",
  "open",
  "openRun",
  "acknowledgementMac",
] as const satisfies readonly (keyof Addon)[];

describe.skipIf(absent)("the addon's arguments", () => {
  it("may be anything: a call answers or throws what it is documented to, and writes only into the views that it was given", () => {
    const addon = rawAddon();
    let answered = 0;
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), fc.array(argument(addon), { maxLength: 8 }), (name, given) => {
        const whole = new Uint8Array(2_048).fill(CANARY);
        const views: [number, number][] = [];
        const values = given.map((one) => one(whole, views));
        let thrown: unknown;
        try {
          (addon[name] as (...values: unknown[]) => unknown)(...values);
          answered++;
        } catch (error) {
          thrown = error;
        }
        if (thrown !== undefined) expect(KNOWN_CODES).toContain((thrown as { code?: unknown }).code);
        for (const [index, byte] of whole.entries()) {
          if (byte !== CANARY && !views.some(([start, end]) => index >= start && index < end)) {
            expect.fail(`${name} wrote outside of its views, at ${index}`);
          }
        }
      }),
      seeded,
    );
    expect(answered).toBeGreaterThan(seeded.numRuns / 50); // else it only shows that everything is refused
  });

  it.each<[string, () => unknown]>([
    ["shared memory", () => new Uint8Array(new SharedArrayBuffer(64))],
    ["an array of floats", () => new Float64Array(8)],
    ["clamped bytes", () => new Uint8ClampedArray(64)],
    ["a DataView", () => new DataView(new ArrayBuffer(64))],
    ["an ArrayBuffer", () => new ArrayBuffer(64)],
    ["an array", () => new Array(64).fill(0)],
    ["a string", () => "a".repeat(64)],
    ["nothing", () => undefined],
    ["an object that says it is one", () => Object.create(Uint8Array.prototype)],
  ])("refuse %s for bytes", (_, make) => {
    expect(() => rawAddon().randomFill(make() as Uint8Array)).toThrow(TypeError);
  });

  it("may be a detached array, which is one without bytes", () => {
    const detached = new Uint8Array(64);
    structuredClone(detached, { transfer: [detached.buffer] });
    expect(detached).toHaveLength(0);
    rawAddon().randomFill(detached);
    expect(() => rawAddon().generateKeyPair(detached)).toThrow(RangeError);
  });

  it("may be a Buffer of Node's pool: its neighbours stay as they are", () => {
    const pool = Buffer.alloc(96, CANARY);
    rawAddon().randomFill(pool.subarray(32, 64));
    expect(pool.subarray(0, 32)).toEqual(Buffer.alloc(32, CANARY));
    expect(pool.subarray(64)).toEqual(Buffer.alloc(32, CANARY));
    expect(pool.subarray(32, 64)).not.toEqual(Buffer.alloc(32, CANARY));
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuse %d for a handle", (handle) => {
    expect(() => rawAddon().wipeTrafficKeys(handle)).toThrow(RangeError);
  });
});

type Argument = (whole: Uint8Array, views: [number, number][]) => unknown;

/** What a call may be given: mostly what it asks for, so that it gets far, and anything at all. */
function argument(addon: Addon): fc.Arbitrary<Argument> {
  const scratch = new Uint8Array(64);
  const keys = addon.importTrafficKeys(new Uint8Array(32), new Uint8Array(32), true, new Uint8Array(8));
  const pair = addon.generateKeyPair(scratch);
  const view = fc.tuple(fc.nat({ max: 2_048 }), fc.nat({ max: 600 })).map(([start, length]): Argument => {
    return (whole, views) => {
      const end = Math.min(start + length, whole.length);
      views.push([start, end]);
      return whole.subarray(start, end);
    };
  });
  const exact = fc.constantFrom(8, 32, 40, 64, 104, 492).map((length): Argument => {
    return (whole, views) => {
      views.push([0, length]);
      return whole.subarray(0, length);
    };
  });
  const value = fc.oneof(
    fc.constantFrom<unknown>(keys, pair, keys + 1, true, false, 0, 1, 32, 104, 2 ** 32, 2 ** 53, -1, Number.NaN),
    fc.anything({ withTypedArray: true, withBigInt: true, withDate: true, withNullPrototype: true }),
  );
  return fc.oneof(
    { weight: 3, arbitrary: view },
    { weight: 2, arbitrary: exact },
    {
      weight: 4,
      arbitrary: value.map(
        (given): Argument =>
          () =>
            given,
      ),
    },
  );
}
