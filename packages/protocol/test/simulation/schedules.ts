import { seeds } from "@usmp/testkit";

/** The seeds of this run: `usual` of them, or USMP_SCHEDULES. With USMP_SEED they begin there, so one failing schedule can be repeated alone. */
export function scheduleSeeds(usual: number): Iterable<number> {
  const given = process.env["USMP_SCHEDULES"];
  if (given !== undefined && !/^[1-9]\d*$/.test(given)) {
    throw new Error(
      `USMP_SCHEDULES ${JSON.stringify(given)}: not a whole number above 0; it is how many schedules to run`,
    );
  }
  return seeds(given === undefined ? usual : Number(given));
}
