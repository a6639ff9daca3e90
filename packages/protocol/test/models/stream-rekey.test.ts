import { runSeed } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { spinMissing, type TraceRun, traces } from "./spin.ts";
import { StreamWalk } from "./stream-walk.ts";

const missing = spinMissing();
if (missing !== undefined) console.info(missing);

/** At least this many runs reach each of these: else the walk would prove less than it says. */
const MIN_REACHED = 5;

const simulated: Map<string, readonly TraceRun[]> = new Map();

const WALKS = [
  { why: "the client rekeys", options: ["C_REKEYS=2", "RUNS=100"] },
  { why: "the server rekeys", options: ["S_REKEYS=2", "RUNS=100"] },
  { why: "both rekey", options: ["C_REKEYS=1", "S_REKEYS=1", "RUNS=300"] },
  { why: "both rekey twice", options: ["C_REKEYS=2", "S_REKEYS=2", "RUNS=300"] },
];

describe.skipIf(missing !== undefined && process.env["CI"] !== "true")(
  "two stream connections on the model's path",
  () => {
    it.each(WALKS)("do what it does: $why", ({ options }) => {
      const runs = runsOf(options);
      for (const run of runs) new StreamWalk().follow(run);
      expect(runs.length).toBeGreaterThanOrEqual(100);
    });

    it("come by everything that the rules are for", () => {
      const runs = WALKS.flatMap(({ options }) => runsOf(options));
      const reached = Object.fromEntries(
        Object.entries(PLACES).map(([place, passes]) => [place, runs.filter(passes).length]),
      );
      console.info(`stream walks: ${runs.length} runs, ${runs.flat().length} steps, ${JSON.stringify(reached)}`);
      expect(Object.entries(reached).filter(([, count]) => count < MIN_REACHED)).toEqual([]);
    });
  },
);

/** One Spin run for each walk, whoever asks first. */
function runsOf(options: readonly string[]): readonly TraceRun[] {
  const key = options.join(" ");
  const known = simulated.get(key) ?? traces("stream-rekey.pml", options, runSeed());
  simulated.set(key, known);
  return known;
}

const PLACES: Readonly<Record<string, (run: TraceRun) => boolean>> = {
  "both at once": (run) =>
    run.some(({ states }) => states.length === 2 && states.every(({ readable }) => readable.length > 1)),
  "the loser's epoch read": (run) =>
    run.some(({ states }) =>
      states[0]?.readable.some((epoch) => epoch > 0 && epoch % 2 === 0 && (states[0]?.readable.length ?? 0) > 1),
    ),
  "frames under the old keys in flight at the switch": (run) =>
    run.some(
      ({ name, end, states }, index) =>
        name === "frame" &&
        states[end]?.readable.length === 2 &&
        run[index - 1] !== undefined &&
        arrivedUnderOld(run, index),
    ),
  "data behind the REKEY": (run) =>
    run.some(({ sent }) => sent.some(([type, epoch]) => type === "DATA" && epoch !== "0")),
};

/** A message arrived while the receiver reads two epochs, and it still reads two: it came under the older. */
function arrivedUnderOld(run: TraceRun, index: number): boolean {
  const [before, after] = [run[index - 1], run[index]] as const;
  if (before === undefined || after === undefined || before.states.length < 2) return false;
  const other = 1 - after.end;
  const got = (step: typeof after): number => Number(step.states[other]?.words[2]);
  return got(after) > got(before);
}
