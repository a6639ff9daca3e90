/**
 * `npm run bench`: what our server costs beside plain sockets, Node's TLS, mosquitto with TLS-PSK and the Python SDK, on the same work and in one
 * run. See README.md in this folder.
 */

import { writeFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { ensurePythonSdk } from "../scripts/dependencies.mjs";
import { run } from "../scripts/run.mjs";
import { readResults } from "./compare.mjs";
import { contenders, NAMES } from "./contenders.mjs";
import { measureOnce, onPair, PLANS } from "./measures.mjs";
import { printComparison, printReport } from "./report.mjs";
import { bundleSize } from "./size.mjs";
import { summarize } from "./statistics.mjs";
import { verdicts } from "./targets.mjs";

/**
 * @typedef {import("./contenders.mjs").Contender} Contender
 * @typedef {import("./contenders.mjs").Name} Name
 */

const HELP = `npm run bench -- [--quick] [--rounds N] [--only NAME,NAME] [--json] [--output FILE] [--compare FILE]
  --quick         a short run: less work and one round, for a look and not for a verdict
  --rounds N      rounds per contender; they take turns, because timings drift
  --only          of ${NAMES.join(", ")}
  --json          the results as JSON instead of a page
  --output FILE   the page, and the results as JSON into FILE
  --compare FILE  beside the results of another run, as --json or --output wrote them
USMP_CRYPTO=node measures our server with that provider of cryptography.`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    output: { type: "string" },
    compare: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(HELP);
else if (process.platform !== "linux") {
  console.error("The bench reads CPU time and memory from /proc, which only Linux has: run it there.");
  process.exitCode = 1;
} else await bench();

async function bench() {
  const before = options.compare === undefined ? undefined : readResults(options.compare);
  const plan = { ...PLANS[options.quick ? "quick" : "full"] };
  if (options.rounds !== undefined) plan.rounds = positive(options.rounds);
  const only = chosen(options.only);
  const built = await run(process.execPath, ["scripts/build.mjs"]);
  if (!built.ok) throw new Error("the build failed, so there is nothing to measure");
  if (only.includes("python") && !process.env.USMP_PYTHON) {
    const problem = await ensurePythonSdk();
    if (problem !== undefined) console.error(`The Python SDK is left out: ${problem}`);
  }
  const taking = (await contenders()).filter(({ name }) => only.includes(name));
  const figures = await measure(taking, plan);
  /** @type {import("./report.mjs").Results} */
  const results = {
    takenAt: new Date().toISOString(),
    machine: await machine(),
    plan,
    tls: await describeTls(taking),
    titles: Object.fromEntries(taking.map(({ name, title }) => [name, title])),
    figures,
    targets: verdicts(figures),
    primitives: await figuresOf("primitives.mjs"),
    bundle: await bundleSize(),
    held: await figuresOf("held.mjs"),
  };
  const json = JSON.stringify(results, undefined, 2);
  if (options.output !== undefined) writeFileSync(options.output, `${json}\n`);
  if (options.json) console.log(json);
  else {
    printReport(results);
    if (before !== undefined) printComparison(before, results);
  }
  if (!options.quick && results.targets.some(({ met }) => !met)) process.exitCode = 1;
}

/**
 * @param {readonly Contender[]} taking
 * @param {import("./measures.mjs").Plan} plan
 */
async function measure(taking, plan) {
  /** @type {Record<string, Partial<Record<Name, number[]>>>} */
  const raw = {};
  for (let round = 1; round <= plan.rounds; round++) {
    for (const contender of taking) {
      if (process.stderr.isTTY)
        process.stderr.write(`round ${round} of ${plan.rounds}: ${contender.title}, ${contender.transport}\n`);
      const figures = await measureOnce(contender, plan, round <= plan.slowRounds);
      for (const [measure, value] of Object.entries(figures)) {
        raw[measure] ??= {};
        const row = raw[measure];
        row[contender.name] = [...(row[contender.name] ?? []), value];
      }
    }
  }
  return Object.fromEntries(
    Object.entries(raw).map(([measure, row]) => [
      measure,
      /** @type {Partial<Record<Name, import("./statistics.mjs").Summary>>} */ (
        Object.fromEntries(Object.entries(row).map(([name, values]) => [name, summarize(values)]))
      ),
    ]),
  );
}

/**
 * What TLS really agreed on; throws when it is not what the comparison is with.
 * @param {readonly Contender[]} taking
 */
async function describeTls(taking) {
  const tls = taking.find(({ name }) => name === "tls");
  if (tls === undefined) return {};
  const agreed = await onPair(tls, ({ clients, server }) => clients.ask({ do: "describe", server }));
  const { protocol, exchange, certificate } = agreed;
  if (protocol === "TLSv1.3" && exchange === "X25519" && !certificate) return agreed;
  throw new Error(`TLS agreed on ${JSON.stringify(agreed)}, not on TLS 1.3 with a PSK and X25519`);
}

/** Of a program of its own, which needs the build. @param {string} program */
async function figuresOf(program) {
  const { ok, output } = await run(process.execPath, ["--expose-gc", `bench/${program}`], { capture: true });
  if (!ok) throw new Error(`bench/${program} failed: ${output}`);
  return JSON.parse(output);
}

async function machine() {
  // After the build.
  const { crypto, why } = (await import("@usmp/crypto")).cryptoChoice();
  const said = async (/** @type {string} */ program, /** @type {readonly string[]} */ ...args) =>
    (await run(program, [...args.flat()], { capture: true })).output.split("\n")[0]?.trim() || "absent";
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    node: process.versions.node,
    v8: process.versions.v8,
    "node's openssl": process.versions.openssl,
    openssl: await said("openssl", ["version"]),
    mosquitto: (await said("sh", ["-c", "PATH=$PATH:/usr/sbin mosquitto -h"])).replace("mosquitto version ", ""),
    "our cryptography": `${crypto.name} (${why})`,
    platform: `${process.platform}-${process.arch} ${release()}`,
  };
}

/** @param {string | undefined} text @returns {readonly string[]} */
function chosen(text) {
  const names = text?.split(",") ?? NAMES;
  const unknown = names.find((name) => !NAMES.some((known) => known === name));
  if (unknown === undefined) return names;
  throw new Error(`--only ${JSON.stringify(unknown)} is nobody here; give some of ${NAMES.join(", ")}`);
}

/** @param {string} text */
function positive(text) {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--rounds is ${JSON.stringify(text)}; it must be a whole number, at least 1`);
}
