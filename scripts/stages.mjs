/** The stages of `npm test`, in their order. Each answers with its counts; none throws for a failing test. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensurePythonSdk } from "./dependencies.mjs";
import { checkModels } from "./models.mjs";
import { buildNative, nativeIsBuilt, testNative } from "./native.mjs";
import { ROOT, run, runTool } from "./run.mjs";
import { missingParts } from "./system-parts.mjs";

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {object} Stage
 * @property {string} name
 * @property {() => Promise<Counts>} run
 */

const RESULTS = join(ROOT, ".cache", "test");
const BLOBS = join(RESULTS, "blobs");
const COVERAGE = join(ROOT, "coverage");

/** The slowest stage takes minutes; one that takes this long hangs, and is ended and counted as failed. */
const STAGE_LIMIT_MS = 15 * 60_000;

/** Of the core, by the stages unit, vectors, simulation and fuzz together. */
const REQUIRED_BRANCH_COVERAGE_PERCENT = 100;

/** Whole sessions of both roles and all sizes with the SDK, rekeys in them, and keys of all forms. */
const SDK_SESSIONS = ["sessions", "keys", "one-sided"].map((name) => `packages/usmp/test/interop/${name}.test.ts`);

const PASSED = { passed: 1, failed: 0, skipped: 0 };
const FAILED = { passed: 0, failed: 1, skipped: 0 };
const SKIPPED = { passed: 0, failed: 0, skipped: 1 };

/** @type {readonly Stage[]} */
export const STAGES = [
  { name: "system", run: checkSystem },
  { name: "format", run: () => check(runTool("biome", ["format", "."])) },
  { name: "lint", run: () => check(run(process.execPath, ["scripts/lint.mjs"])) },
  { name: "types", run: checkTypes },
  { name: "native", run: checkNative },
  ...["unit", "vectors"].map((name) => ({ name, run: () => runProject(name, true) })),
  { name: "models", run: runModels },
  ...["simulation", "fuzz"].map((name) => ({ name, run: () => runProject(name, true) })),
  { name: "coverage", run: checkCoverage },
  { name: "interop", run: runInterop },
  { name: "providers", run: runOtherProviders },
  { name: "crash", run: () => runOnBuild("crash") },
  { name: "e2e", run: () => runOnBuild("e2e") },
];

/** Removes the results of an earlier run, so that none of them can be taken for this one's. */
export function clearResults() {
  for (const folder of [RESULTS, COVERAGE]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(BLOBS, { recursive: true });
}

/** @param {Promise<{ ok: boolean }>} result */
async function check(result) {
  return (await result).ok ? PASSED : FAILED;
}

async function checkTypes() {
  const build = await runTool("tsc", ["-b"]);
  const tests = await runTool("tsc", ["-p", "tsconfig.tests.json"]);
  const scripts = await runTool("tsc", ["-p", "tsconfig.scripts.json"]);
  return build.ok && tests.ok && scripts.ok ? PASSED : FAILED;
}

/** Before the stages that run on the default provider: where cargo is, that is the native one. */
async function checkNative() {
  const outcome = await buildNative();
  if (outcome.state === "no-cargo") {
    console.log(
      "The native addon is neither built nor tested: cargo is missing (rustup.rs, or Debian's package cargo)",
    );
    return absent();
  }
  if (outcome.state === "failed") {
    console.log(outcome.output);
    return FAILED;
  }
  const tests = await testNative();
  if (!tests.ok) console.log(tests.output);
  const count = [...tests.output.matchAll(/(\d+) passed/g)].reduce((sum, [, passed]) => sum + Number(passed), 0);
  return { passed: 1 + count, failed: tests.ok && count > 0 ? 0 : 1, skipped: 0 };
}

async function checkSystem() {
  const missing = await missingParts();
  for (const { name, neededFor } of missing) console.log(`Missing: ${name}, for ${neededFor}. Run: npm run test:setup`);
  // Here, and not only before "interop": the unit tests of the testkit talk to it as well.
  const reason = missing.length === 0 ? await ensurePythonSdk() : undefined;
  if (reason !== undefined) console.log(`Missing: the Python SDK, for interop: ${reason}`);
  return missing.length === 0 && reason === undefined ? PASSED : absent();
}

/** On a developer's machine a missing part skips what needs it; a CI run without it would prove less than it says. */
function absent() {
  return process.env.CI === "true" ? FAILED : SKIPPED;
}

/** The models, and two real connections that walk along their runs. */
async function runModels() {
  const models = await checkModels();
  const walks = await runProject("models", true);
  return {
    passed: models.passed + walks.passed,
    failed: models.failed + walks.failed,
    skipped: models.skipped + walks.skipped,
  };
}

async function runInterop() {
  const reason = await ensurePythonSdk();
  if (reason === undefined) return runOnBuild("interop");
  console.log(`Interop with the Python SDK cannot run: ${reason}. Run: npm run test:setup`);
  return absent();
}

/**
 * Everything above ran on the default provider, and the vectors and core dumps on all. What else depends on one (the core's and the library's
 * tests, sessions with the SDK) runs on the others too; what only takes long with it (crowds, loss, the command line, end to end) does not.
 */
async function runOtherProviders() {
  const inUse = process.env.USMP_CRYPTO || (nativeIsBuilt() ? "native" : "node");
  const others = ["node", "noble", ...(nativeIsBuilt() ? ["native"] : [])].filter((name) => name !== inUse);
  const withSdk = (await ensurePythonSdk()) === undefined; // its absence was counted by "interop"
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const provider of others) {
    console.log(`-- on ${provider}`);
    const unit = ["packages/protocol", "packages/usmp", "--exclude=**/memory/**"];
    const projects = { unit, ...(withSdk && { interop: SDK_SESSIONS }) };
    for (const [project, files] of Object.entries(projects)) {
      const counts = await runProject(project, false, { files, provider });
      for (const key of /** @type {const} */ (["passed", "failed", "skipped"])) total[key] += counts[key];
    }
  }
  return total;
}

/**
 * These start the command line as a process, which runs what is built; what does not compile is for "types" to say.
 * @param {string} project
 */
async function runOnBuild(project) {
  await runTool("tsc", ["-b"], { capture: true });
  return runProject(project, false);
}

/**
 * @param {string} project of vitest.config.ts
 * @param {boolean} covering
 * @param {{ files?: readonly string[], provider?: string }} [options] of vitest: which files; and the provider that is forced
 * @returns {Promise<Counts>}
 */
async function runProject(project, covering, { files = [], provider } = {}) {
  const json = join(RESULTS, `${project}${provider === undefined ? "" : `-${provider}`}.json`);
  const args = [
    "run",
    ...files,
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${json}`,
  ];
  const blob = ["--reporter=blob", `--outputFile.blob=${join(BLOBS, project)}`];
  // The branches that one stage misses may be another's: the threshold is applied to all of them, in checkCoverage.
  const coverage = ["--coverage.enabled", "--coverage.reporter=none", "--coverage.thresholds.branches=0"];
  const { ok, timedOut } = await runTool("vitest", covering ? [...args, ...blob, ...coverage] : args, {
    limitMs: STAGE_LIMIT_MS,
    ...(provider !== undefined && { env: { USMP_CRYPTO: provider } }),
  });
  if (timedOut) console.log(`${project}: ended by force after ${STAGE_LIMIT_MS / 60_000} minutes`);
  return countTests(json, ok);
}

/**
 * @param {string} json vitest's JSON report
 * @param {boolean} ok vitest ended with code 0
 * @returns {Counts}
 */
function countTests(json, ok) {
  let report;
  try {
    report = JSON.parse(readFileSync(json, "utf8"));
  } catch {
    return FAILED; // it ended before the report was written
  }
  /** @type {{ status: string, assertionResults: unknown[] }[]} */
  const files = report.testResults;
  const brokenFiles = files.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
  const passed = report.numPassedTests;
  const failed = report.numFailedTests + brokenFiles;
  const skipped = report.numPendingTests + report.numTodoTests;
  // A run fails without a failing test when an error was thrown outside of one; and a stage without tests proves nothing.
  return { passed, failed: failed === 0 && (!ok || passed === 0) ? 1 : failed, skipped };
}

/** Merges what the covering stages recorded, prints what is uncovered, and holds it to the required percentage. */
async function checkCoverage() {
  await runTool("vitest", ["run", `--merge-reports=${BLOBS}`, "--coverage.enabled", "--reporter=dot", "--silent"]);
  try {
    const summary = JSON.parse(readFileSync(join(COVERAGE, "coverage-summary.json"), "utf8"));
    const { pct, covered, total } = summary.total.branches;
    console.log(`Branches of packages/protocol/src: ${covered} of ${total} covered (${pct} %)`);
    return pct >= REQUIRED_BRANCH_COVERAGE_PERCENT && total > 0 ? PASSED : FAILED;
  } catch {
    return FAILED;
  }
}
