import { runSeed } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { DatagramWalk } from "./datagram-walk.ts";
import { spinMissing, type TraceRun, traces } from "./spin.ts";

const missing = spinMissing();
if (missing !== undefined) console.info(missing);

/** At least this many runs reach each of these: else the walk would prove less than it says. */
const MIN_REACHED = 5;

/** The code keeps 64 numbers' distance where the model's ALIAS has 0, and none where it has more than any run counts (R2). */
const ABOVE_ALIAS = 64;

const simulated: Map<string, readonly TraceRun[]> = new Map();

/** Of the runs, so much at least must be walked to the end. */
const MIN_WHOLE = 0.97;

interface Walk {
  readonly why: string;
  readonly options: readonly string[];
  readonly firstSeq: number;
  readonly framesPerMessage?: 2;
}

const WALKS: readonly Walk[] = [
  {
    why: "both rekey",
    options: ["C_REKEYS=1", "S_REKEYS=1", "LOSS=2", "COPIES=1", "NMSG=2", "RUNS=300"],
    firstSeq: ABOVE_ALIAS,
  },
  {
    why: "both rekey, with copies",
    options: ["C_REKEYS=1", "S_REKEYS=1", "COPIES=3", "NMSG=2", "RUNS=200"],
    firstSeq: ABOVE_ALIAS,
  },
  {
    why: "both rekey, low numbers",
    options: ["C_REKEYS=1", "S_REKEYS=1", "LOSS=2", "COPIES=1", "NMSG=2", "ALIAS=15", "RUNS=200"],
    firstSeq: 1,
  },
  {
    why: "the client rekeys",
    options: ["C_REKEYS=1", "LOSS=2", "COPIES=1", "NMSG=3", "RUNS=150"],
    firstSeq: ABOVE_ALIAS,
  },
  {
    why: "the server rekeys",
    options: ["S_REKEYS=1", "LOSS=2", "COPIES=1", "NMSG=3", "RUNS=150"],
    firstSeq: ABOVE_ALIAS,
  },
  {
    why: "both rekey, messages of two frames",
    options: ["C_REKEYS=1", "S_REKEYS=1", "LOSS=2", "COPIES=1", "NMSG=4", "FRAGMENTS", "RUNS=150"],
    firstSeq: ABOVE_ALIAS,
    framesPerMessage: 2,
  },
];

describe.skipIf(missing !== undefined && process.env["CI"] !== "true")(
  "two datagram connections on the model's path",
  () => {
    it.each(WALKS)("do what it does: $why", ({ options, firstSeq, framesPerMessage }) => {
      const runs = runsOf(options);
      const whole = runs.filter((run) => new DatagramWalk(firstSeq, framesPerMessage).follow(run)).length;
      expect(whole).toBeGreaterThanOrEqual(runs.length * MIN_WHOLE);
      expect(runs.length).toBeGreaterThanOrEqual(150);
    });

    it("come by everything that the rules are for", () => {
      const runs = WALKS.flatMap(({ options }) => runsOf(options));
      const reached = Object.fromEntries(
        Object.entries(PLACES).map(([place, passes]) => [place, runs.filter(passes).length]),
      );
      console.info(`datagram walks: ${runs.length} runs, ${runs.flat().length} steps, ${JSON.stringify(reached)}`);
      expect(Object.entries(reached).filter(([, count]) => count < MIN_REACHED)).toEqual([]);
    });
  },
);

/** One Spin run for each walk, whoever asks first. */
function runsOf(options: readonly string[]): readonly TraceRun[] {
  const key = options.join(" ");
  const known = simulated.get(key) ?? traces("datagram-rekey.pml", options, runSeed());
  simulated.set(key, known);
  return known;
}

const sentIn = (run: TraceRun, type: string, fate: RegExp): boolean =>
  run.some(({ sent }) => sent.some((words) => words[0] === type && fate.test(words.at(-1) as string)));

const PLACES: Readonly<Record<string, (run: TraceRun) => boolean>> = {
  "a REKEY lost": (run) => sentIn(run, "REKEY", /lost/),
  "a REKEY doubled": (run) => sentIn(run, "REKEY", /copied/),
  "a REKEY delayed": (run) => sentIn(run, "REKEY", /late/),
  "its UTACK lost or late": (run) =>
    run.some(({ sent }) =>
      sent.some((words) => words[0] === "UTACK" && words[4] === "REKEY" && /lost|late/.test(words[5] as string)),
    ),
  "a REKEY sent again": (run) => run.some(({ name, sent }) => name === "resend" && sent[0]?.[0] === "REKEY"),
  "both at once": (run) =>
    run.some(({ states }) => states.some(({ readable }) => readable.includes(1) && readable.includes(2))),
  "a UTACK withheld": (run) => run.some(({ states }) => states.some(({ words }) => words[4] === "1")),
  "a hold that ends by itself": (run) => run.some(({ name }) => name === "unhold"),
  "old keys forgotten": (run) => run.some(({ name }) => name === "retire"),
  "data both ways while keys change hands": (run) =>
    run.some(
      ({ states }) =>
        states.length === 2 &&
        states.every(({ words }) => words[2] === "DATA") &&
        states.some(({ readable }) => readable.length > 1),
    ),
  "a UTACK under two keys": (run) => run.some(({ sent }) => sent.filter(([type]) => type === "UTACK").length > 1),
};
