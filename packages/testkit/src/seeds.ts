import { randomInt } from "node:crypto";
import { SeededRandom } from "./seeded-random.ts";

const VARIABLE = "USMP_SEED";
const SEED_COUNT = 2 ** 32;

let seedOfThisRun: number | undefined;

/**
 * The seed of this run: USMP_SEED when it is set, else a fresh one. Printed once per process, in a form that can be pasted in front
 * of the command to repeat the run.
 */
export function runSeed(): number {
  if (seedOfThisRun === undefined) {
    seedOfThisRun = parseSeed(process.env[VARIABLE]) ?? randomInt(SEED_COUNT);
    process.stderr.write(`${VARIABLE}=${seedOfThisRun}\n`);
  }
  return seedOfThisRun;
}

/** `count` seeds, counting up from the run's: given back as USMP_SEED, any of them becomes the first. */
export function* seeds(count: number, first: number = runSeed()): Generator<number, void, undefined> {
  for (let i = 0; i < count; i++) yield (first + i) % SEED_COUNT;
}

/** Runs `body` with a generator of that seed; what it throws then says how to repeat it. */
export function withSeed<T>(seed: number, body: (random: SeededRandom) => T): T {
  try {
    const result = body(new SeededRandom(seed));
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      throw repeatable(error, seed);
    }) as T;
  } catch (error) {
    throw repeatable(error, seed);
  }
}

/** Undefined when nothing is set. */
export function parseSeed(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const seed = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (seed < SEED_COUNT) return seed;
  throw new Error(
    `${VARIABLE} ${JSON.stringify(text)}: not a whole number from 0 to 2^32 - 1; paste the one that a run printed`,
  );
}

/** Adds the seed to an error's message, in place: its class, stack and assertion details stay. */
function repeatable(error: unknown, seed: number): unknown {
  const hint = `(${VARIABLE}=${seed} repeats it)`;
  if (!(error instanceof Error)) return new Error(`${String(error)} ${hint}`, { cause: error });
  if (!error.message.includes(VARIABLE)) error.message = `${error.message}\n${hint}`;
  return error;
}
