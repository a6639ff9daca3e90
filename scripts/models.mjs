/**
 * The "models" stage: Spin on the session models, Verifpal on the handshake. What must hold holds, and what must fail (the field's own
 * rules, and mutants of ours) fails for the reason that it should.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { SPIN_RUNS, VERIFPAL_QUERIES, VERIFPAL_RUNS } from "./model-runs.mjs";
import { ROOT, run } from "./run.mjs";

/** Built from its registry once; lies outside the clone, by version, because that takes minutes. */
const VERIFPAL_VERSION = "1.6.7";
const VERIFPAL_FOLDER = join(homedir(), ".cache", "usmp", `verifpal-${VERIFPAL_VERSION}`);
const MODELS = join(ROOT, "docs", "models");
const LIMIT_MS = 5 * 60_000;

/**
 * Runs every model whose tool is here.
 * @returns {Promise<{ passed: number, failed: number, skipped: number }>}
 */
export async function checkModels() {
  const checks = [...(await spinChecks()), ...(await verifpalChecks())];
  /** @type {Outcome[]} */
  const outcomes = [];
  // Two at a time: one search fills one core.
  const work = async () => {
    for (let next = checks.shift(); next !== undefined; next = checks.shift()) outcomes.push(await next());
  };
  await Promise.all([work(), work()]);
  const count = (/** @type {Outcome} */ wanted) => outcomes.filter((outcome) => outcome === wanted).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/**
 * @typedef {"passed" | "failed" | "skipped"} Outcome
 * @typedef {() => Promise<Outcome>} Check
 */

/** @returns {Promise<Check[]>} */
async function spinChecks() {
  const present =
    (await run("spin", ["-V"], { capture: true })).ok && (await run("gcc", ["--version"], { capture: true })).ok;
  if (present) return SPIN_RUNS.map((spinRun) => () => checkSpinRun(spinRun));
  return [absent("spin and gcc are missing, so the session models are not checked. Run: npm run test:setup")];
}

/**
 * @param {import("./model-runs.mjs").SpinRun} spinRun
 * @returns {Promise<Outcome>}
 */
async function checkSpinRun({ model, expect, why, options }) {
  const folder = mkdtempSync(join(tmpdir(), "usmp-spin-"));
  try {
    const { found, states } = await search(folder, model, options.split(" "), expect === "holds");
    console.log(`${found === expect ? "ok   " : "WRONG"} ${found.padEnd(11)} ${states.padStart(8)} states  ${why}`);
    return found === expect ? "passed" : "failed";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * An exhaustive search; the exact answer or none.
 * @param {string} folder
 * @param {string} model
 * @param {readonly string[]} options
 * @param {boolean} whole the search will be long, and compiling well pays
 */
async function search(folder, model, options, whole) {
  const inFolder = (/** @type {string} */ command) =>
    run("sh", ["-c", `cd "$0" && ${command}`, folder, join(MODELS, "session", model)], {
      capture: true,
      limitMs: LIMIT_MS,
    });
  const flags = options.map((option) => `-D${option}`).join(" ");
  const built = await inFolder(
    `spin -a ${flags} "$1" && gcc ${whole ? "-O1" : "-O0"} -w -DSAFETY -DMEMLIM=3000 -DCOLLAPSE -o pan pan.c`,
  );
  if (!built.ok) return { found: "no build", states: "0" };
  const { output } = await inFolder("./pan -m100000");
  const states = /(\d+) states, stored/.exec(output)?.[1] ?? "0";
  return { found: verdict(output), states };
}

/** @param {string} output of pan */
function verdict(output) {
  if (/max search depth|out of memory/.test(output)) return "no answer";
  if (/errors: 0\b/.test(output)) return "holds";
  return /assertion violated\s+!\((\w+)\)/.exec(output)?.[1] ?? "no answer";
}

/** @returns {Promise<Check[]>} */
async function verifpalChecks() {
  const verifpal = await ensureVerifpal();
  if (verifpal !== undefined) return VERIFPAL_RUNS.map((verifpalRun) => () => checkVerifpalRun(verifpal, verifpalRun));
  return [absent("Verifpal is missing (it needs cargo), so the handshake model is not checked")];
}

/**
 * @param {string} verifpal
 * @param {import("./model-runs.mjs").VerifpalRun} verifpalRun
 * @returns {Promise<Outcome>}
 */
async function checkVerifpalRun(verifpal, { model, fails, why }) {
  const file = join(MODELS, "handshake", model);
  const { output } = await run(verifpal, ["verify", file], { capture: true, limitMs: LIMIT_MS });
  // The second half of what it prints is the final report; in the first each failing query is announced as it is found.
  const report = output.slice(output.indexOf("Verification completed"));
  const failing = [...report.matchAll(/FAIL x ([a-z]+\? [^[\n]+)/g)].map((match) => match[1]?.trim() ?? "");
  const passing = [...report.matchAll(/PASS \+ /g)].length;
  const ok = passing === VERIFPAL_QUERIES - fails.length && failing.join() === fails.join();
  console.log(`${ok ? "ok   " : "WRONG"} Verifpal, ${why}: ${passing} queries pass; ${failing.join("; ")} fail`);
  return ok ? "passed" : "failed";
}

/** @returns {Promise<string | undefined>} */
async function ensureVerifpal() {
  const program = join(VERIFPAL_FOLDER, "bin", process.platform === "win32" ? "verifpal.exe" : "verifpal");
  if (existsSync(program)) return program;
  if (!(await run("cargo", ["--version"], { capture: true })).ok) return undefined;
  console.log("Building Verifpal, once; this takes some minutes …");
  mkdirSync(VERIFPAL_FOLDER, { recursive: true });
  const args = [
    "install",
    "verifpal",
    "--version",
    VERIFPAL_VERSION,
    "--ignore-rust-version",
    "--root",
    VERIFPAL_FOLDER,
  ];
  const { ok, output } = await run("cargo", args, { capture: true });
  if (!ok) console.log(output.slice(-2_000));
  return ok ? program : undefined;
}

/**
 * @param {string} line
 * @returns {Check}
 */
function absent(line) {
  return async () => {
    console.log(line);
    return process.env.CI === "true" ? "failed" : "skipped";
  };
}
