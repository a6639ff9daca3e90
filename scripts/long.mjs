/**
 * `npm run fuzz [-- --seconds N]`, `npm run long [-- --schedules N]` and `npm run long:server [-- --cycles N]`: the fuzz tests for as
 * long as wanted, the simulation over as many schedules as wanted, and a server through as many sessions as wanted, ten minutes of
 * thousands of idle ones, and ten minutes of being stopped. All take `--seed N`; without it each run has a fresh one, which is printed.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { ensurePackages } from "./dependencies.mjs";
import { runTool } from "./run.mjs";

/**
 * @typedef {object} Kind
 * @property {string} project of vitest.config.ts
 * @property {string} option
 * @property {string} variable that the tests read it from
 * @property {string} amount
 * @property {string[]} [files] of the project; default: all
 * @property {Record<string, string>} [env]
 */

/** @type {Record<"fuzz" | "server" | "simulation", Kind>} */
const KINDS = {
  fuzz: { project: "fuzz", option: "seconds", variable: "USMP_FUZZ_SECONDS", amount: "3600" },
  server: {
    project: "e2e",
    option: "cycles",
    variable: "USMP_CYCLES",
    amount: "1000000",
    files: ["endurance", "suspended"],
    env: { USMP_SUSPEND_MS: "600000" },
  },
  simulation: { project: "simulation", option: "schedules", variable: "USMP_SCHEDULES", amount: "1000000" },
};

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

/** @param {readonly string[]} args */
async function main([name, ...rest]) {
  const kind = KINDS[name === "fuzz" || name === "server" ? name : "simulation"];
  const { values } = parseArgs({
    args: rest,
    options: {
      [kind.option]: { type: "string", default: kind.amount },
      seed: { type: "string", default: String(randomInt(2 ** 32)) },
    },
  });
  const amount = wholeNumber(kind.option, values[kind.option], 1, Number.MAX_SAFE_INTEGER);
  const seed = wholeNumber("seed", values.seed, 0, 2 ** 32 - 1);
  await ensurePackages();
  console.log(`${kind.project}: ${amount} ${kind.option}, seed ${seed} (repeat with --seed ${seed})`);
  const env = { [kind.variable]: amount, USMP_SEED: seed, ...kind.env };
  const { code } = await runTool("vitest", ["run", "--project", kind.project, ...(kind.files ?? [])], { env });
  return code;
}

/**
 * @param {string} option
 * @param {unknown} text
 * @param {number} least
 * @param {number} most
 */
function wholeNumber(option, text, least, most) {
  const value = Number(text);
  if (typeof text === "string" && /^\d+$/.test(text) && value >= least && value <= most) return text;
  throw new Error(`--${option} is "${text}": give a whole number from ${least} to ${most}`);
}
