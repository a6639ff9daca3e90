import { runSeed, type SeededRandom, seeds, withSeed } from "@usmp/testkit";
import { expect } from "vitest";

/** What became of one schedule: a session that lasted, one that ended, or none. */
export type Outcome = "lasted" | "ended" | "failed";

interface Schedule {
  run(): Outcome;
  readonly sealedFrames: number;
}

/** A long run says so often how far it is. */
const PROGRESS_EVERY = 100_000;

/**
 * Runs `usual` schedules, or USMP_SCHEDULES, with seeds that count up from USMP_SEED, so that a failing one can be repeated alone.
 * Prints what became of them: that count is what a run has shown.
 */
export function runSchedules(name: string, usual: number, make: (random: SeededRandom) => Schedule): void {
  const outcomes: Record<Outcome, number> = { lasted: 0, ended: 0, failed: 0 };
  const count = scheduleCount(usual);
  let sealedFrames = 0;
  let done = 0;
  const report = (): void =>
    console.info(`${name}: ${done} schedules ${JSON.stringify(outcomes)}, ${sealedFrames} sealed frames`);
  for (const seed of seeds(count, runSeed())) {
    const schedule = withSeed(seed, (random) => {
      const made = make(random);
      outcomes[made.run()]++;
      return made;
    });
    sealedFrames += schedule.sealedFrames;
    if (++done % PROGRESS_EVERY === 0) report();
  }
  if (done % PROGRESS_EVERY !== 0) report();
  expect(sealedFrames).toBeGreaterThan(0);
}

function scheduleCount(usual: number): number {
  const given = process.env["USMP_SCHEDULES"];
  if (given === undefined) return usual;
  if (/^[1-9]\d*$/.test(given)) return Number(given);
  throw new Error(
    `USMP_SCHEDULES ${JSON.stringify(given)}: not a whole number above 0; it is how many schedules to run`,
  );
}
