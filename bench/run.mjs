/**
 * `npm run bench`: what our server costs beside Node's own TLS and the Python SDK, on the same work. See README.md in this folder.
 */
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { ensurePythonSdk } from "../scripts/dependencies.mjs";
import { run } from "../scripts/run.mjs";
import { contenders } from "./contenders.mjs";
import { printReport } from "./report.mjs";
import { describeTls, idleRound, MEASURES, PLANS, timingRound } from "./rounds.mjs";
import { bundleSize } from "./size.mjs";
import { summarize } from "./statistics.mjs";

/**
 * @typedef {import("./contenders.mjs").Contender} Contender
 * @typedef {import("./contenders.mjs").Name} Name
 * @typedef {import("./rounds.mjs").Measure} Measure
 */

/** What the project has set itself for its server with node:crypto. Ratios are to TLS. */
const TARGETS = /** @type {const} */ ([
  { measure: "handshake", ratio: true, limit: 0.45 },
  { measure: "echo64", ratio: true, limit: 2 },
  { measure: "echo452", ratio: true, limit: 2 },
  { measure: "idle", ratio: false, limit: 12 },
]);

const HELP = `npm run bench -- [--quick] [--rounds N] [--only NAME,NAME] [--json]
  --quick      a short run: less work and two rounds, for a look and not for a verdict
  --rounds N   rounds per contender; they take turns, because timings drift
  --only       of usmp, tls, python
  --json       the results as JSON instead of a table`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(HELP);
else if (process.platform !== "linux") {
  console.error("The bench reads CPU time and memory from /proc, which only Linux has: run it there.");
  process.exitCode = 1;
} else await bench();

async function bench() {
  const built = await run(process.execPath, ["scripts/build.mjs"]);
  if (!built.ok) throw new Error("the build failed, so there is nothing to measure");

  const plan = { ...PLANS[options.quick ? "quick" : "full"] };
  if (options.rounds !== undefined) plan.rounds = positive(options.rounds);
  const only = options.only?.split(",");
  const isTaken = (/** @type {Name} */ name) => only === undefined || only.includes(name);
  if (isTaken("python") && !process.env.USMP_PYTHON) {
    const problem = await ensurePythonSdk();
    if (problem !== undefined) console.error(`The Python SDK is left out: ${problem}`);
  }
  const taking = contenders().filter(({ name }) => isTaken(name));
  const tls = taking.find(({ name }) => name === "tls");

  const agreed = tls === undefined ? {} : await describeTls(tls);
  const figures = await measure(taking, plan);
  /** @type {Record<string, number>} */
  const ratios = {};
  for (const [name, row] of Object.entries(figures)) {
    if (row.usmp && row.tls) ratios[name] = row.usmp.median / row.tls.median;
  }
  const results = {
    machine: machine(),
    plan,
    tls: agreed,
    titles: /** @type {Record<Name, string>} */ (Object.fromEntries(taking.map(({ name, title }) => [name, title]))),
    figures,
    ratios,
    targets: targets(figures, ratios),
    bundle: await bundleSize(),
    held: await held(),
  };
  if (options.json) console.log(JSON.stringify(results, undefined, 2));
  else printReport(results);
  if (!options.quick && results.targets.some(({ met }) => !met)) process.exitCode = 1;
}

/**
 * @param {readonly Contender[]} taking
 * @param {import("./rounds.mjs").Plan} plan
 */
async function measure(taking, plan) {
  /** @type {Record<string, Partial<Record<Name, number[]>>>} */
  const raw = Object.fromEntries(Object.keys(MEASURES).map((name) => [name, {}]));
  for (let round = 1; round <= plan.rounds; round++) {
    for (const contender of taking) {
      if (process.stderr.isTTY) process.stderr.write(`round ${round} of ${plan.rounds}: ${contender.title}\n`);
      const figures = await timingRound(contender, plan);
      if (round <= plan.idleRounds) Object.assign(figures, await idleRound(contender, plan));
      for (const [name, value] of Object.entries(figures)) {
        const row = raw[name] ?? {};
        row[contender.name] = [...(row[contender.name] ?? []), value];
      }
    }
  }
  return Object.fromEntries(
    Object.entries(raw).map(([name, row]) => [
      name,
      /** @type {Partial<Record<Name, ReturnType<typeof summarize>>>} */ (
        Object.fromEntries(Object.entries(row).map(([contender, values]) => [contender, summarize(values)]))
      ),
    ]),
  );
}

/**
 * @param {Awaited<ReturnType<typeof measure>>} figures
 * @param {Record<string, number>} ratios
 */
function targets(figures, ratios) {
  return TARGETS.flatMap(({ measure, ratio, limit }) => {
    const figure = ratio ? ratios[measure] : figures[measure]?.usmp?.median;
    if (figure === undefined) return [];
    const what = `${MEASURES[measure].title}, ${ratio ? "ratio to TLS" : MEASURES[measure].unit}`;
    return [{ what, figure, limit, met: figure <= limit }];
  });
}

async function held() {
  const { ok, output } = await run(process.execPath, ["--expose-gc", "bench/held.mjs"], { capture: true });
  if (!ok) throw new Error(`bench/held.mjs failed: ${output}`);
  return JSON.parse(output);
}

function machine() {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    v8: process.versions.v8,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** @param {string} text */
function positive(text) {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--rounds is ${JSON.stringify(text)}; it must be a whole number, at least 1`);
}
