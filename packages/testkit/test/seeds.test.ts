import { runSeed, SeededRandom, seeds, withSeed } from "@usmp/testkit";
import { afterEach, describe, expect, test, vi } from "vitest";
import { parseSeed } from "../src/seeds.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  vi.resetModules();
});

describe("the seed of a run", () => {
  test("is the one in the environment, and is printed once", async () => {
    const printed = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    vi.stubEnv("USMP_SEED", "42");
    const fresh = await import("../src/seeds.ts");
    expect([fresh.runSeed(), fresh.runSeed()]).toEqual([42, 42]);
    expect(printed.mock.calls).toEqual([["USMP_SEED=42\n"]]);
  });

  test("is fresh without one, the same all through the run, and printed so that it can be given back", async () => {
    const printed = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    vi.stubEnv("USMP_SEED", "");
    const first = await import("../src/seeds.ts");
    const seed = first.runSeed();
    expect(first.runSeed()).toBe(seed);
    expect(parseSeed(String(printed.mock.calls[0]?.[0]).trim().split("=")[1])).toBe(seed);
    vi.resetModules();
    const second = await import("../src/seeds.ts");
    expect(second.runSeed()).not.toBe(seed);
  });

  test.each(["-1", "4294967296", "0x10", "seed"])("is refused as %s, with what to give instead", (text) => {
    expect(() => parseSeed(text)).toThrow("not a whole number from 0 to 2^32 - 1; paste the one that a run printed");
  });
});

test("the seeds of a run count up from its own, so that any of them can be given back as the first", () => {
  expect([...seeds(3, 10)]).toEqual([10, 11, 12]);
  expect([...seeds(2, 4294967295)]).toEqual([4294967295, 0]);
  expect([...seeds(1)]).toEqual([runSeed()]);
});

describe("a body that runs with a seed", () => {
  test("gets a generator of that seed, and its result comes back", async () => {
    expect(withSeed(9, (random) => random.uint32())).toBe(new SeededRandom(9).uint32());
    await expect(withSeed(9, async (random) => random.seed)).resolves.toBe(9);
  });

  test("throws its own error with the seed in the message, once", async () => {
    const fail = (): never => {
      throw new TypeError("wrong");
    };
    const nested = (): never => withSeed(2, () => withSeed(1, fail));
    expect(nested).toThrow(TypeError);
    expect(nested).toThrow(/^wrong\n\(USMP_SEED=1 repeats it\)$/);
    await expect(withSeed(3, async () => fail())).rejects.toThrow("wrong\n(USMP_SEED=3 repeats it)");
  });

  test("gets an error around what is thrown and is none", () => {
    const fail = (): never => {
      // biome-ignore lint/style/useThrowOnlyError: what is tested is code that does so.
      throw "text";
    };
    expect(() => withSeed(4, fail)).toThrow("text (USMP_SEED=4 repeats it)");
  });
});
