import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** 0 is the client, 1 the server, as in the models. */
export type EndIndex = 0 | 1;

/** What the model says of one step: whose it was, what it sent and what became of that, and both ends after it. */
export interface TraceStep {
  readonly name: string;
  readonly end: EndIndex;
  readonly sent: readonly (readonly string[])[];
  /** The words of each end's STATE line, and the epochs that it reads. Empty after a step of the network. */
  readonly states: readonly { readonly words: readonly string[]; readonly readable: readonly number[] }[];
}

export type TraceRun = readonly TraceStep[];

const MODELS = fileURLToPath(new URL("../../../../docs/models/session/", import.meta.url));
/** Hundreds of runs take a second. */
const LIMIT_MS = 60_000;
const MAX_TRACE_BYTES = 256 * 1024 * 1024;
/** Spin takes a signed seed. */
const MAX_SPIN_SEED = 2 ** 31;

/** Why the models cannot be run here; undefined when they can. */
export function spinMissing(): string | undefined {
  const { error, status } = spawnSync("spin", ["-V"], { stdio: "ignore" });
  return error === undefined && status === 0
    ? undefined
    : "spin is missing, so no connection is walked along the models' traces. Run: npm run test:setup";
}

/** Random runs of a model, each from its beginning to its end. Throws when a run breaks one of the model's own rules. */
export function traces(model: string, options: readonly string[], seed: number): TraceRun[] {
  const flags = ["TRACE", ...options].map((option) => `-D${option}`);
  const { stdout, error } = simulate([`-n${seed % MAX_SPIN_SEED}`, ...flags, `${MODELS}${model}`]);
  if (error !== undefined) throw error;
  const wrong = /^spin: .*(?:Error|assertion|aborting|timeout).*$/m.exec(stdout);
  if (wrong !== null) throw new Error(`${model}: ${wrong[0]}`);
  return parse(stdout);
}

/** Spin leaves its preprocessed model in the working directory: two at a time must not share one. */
function simulate(options: readonly string[]): { readonly stdout: string; readonly error?: Error | undefined } {
  const folder = mkdtempSync(join(tmpdir(), "usmp-spin-"));
  try {
    return spawnSync("spin", ["-T", ...options], {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: MAX_TRACE_BYTES,
      timeout: LIMIT_MS,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Takes a run step by step; an error on the way says how it came there. */
export function stepsWithPath(run: TraceRun, take: (step: TraceStep) => void): void {
  for (const [index, step] of run.entries()) {
    try {
      take(step);
    } catch (error) {
      const path = run.slice(0, index + 1).map(({ name, end, sent }) => `${name} ${end} ${sent.join(" | ")}`);
      throw new Error(`the code leaves the model at step ${index}:\n${path.join("\n")}`, { cause: error });
    }
  }
}

function parse(output: string): TraceRun[] {
  const runs: TraceStep[][] = [];
  let sent: string[][] = [];
  let states: TraceStep["states"][number][] = [];
  for (const line of output.split("\n")) {
    const [kind, ...words] = line.trim().split(" ");
    if (kind === "STEP") {
      sent = [];
      states = [];
      if (words[0] === "start") runs.push([]);
      runs.at(-1)?.push({ name: words[0] as string, end: endIndex(words[1]), sent, states });
    } else if (kind === "SENT") sent.push(words);
    else if (kind === "STATE") {
      const colon = words.indexOf(":");
      states.push({ words: words.slice(1, colon), readable: words.slice(colon + 1).map(Number) });
    }
  }
  return runs;
}

function endIndex(word: string | undefined): EndIndex {
  return word === "1" ? 1 : 0;
}
