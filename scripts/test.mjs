/**
 * `npm test [-- stage …]`: every stage, or the named ones, from a fresh clone on. A failing stage does not stop the later
 * ones. The last line is always `N passed, N failed`, with `, N skipped` when some were.
 */
import { ensurePackages } from "./dependencies.mjs";
import { clearResults, STAGES } from "./stages.mjs";

/** One seed for everyone, so that a red run is red again; `npm run long` and `npm run fuzz` take fresh ones. */
const DEFAULT_SEED = "20261124";

process.env.USMP_SEED ??= DEFAULT_SEED; // what the tests read
const chosen = chooseStages(process.argv.slice(2));
const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];

try {
  await ensurePackages();
  clearResults();
  console.log(`Seed ${process.env.USMP_SEED} (USMP_SEED sets another); Node ${process.version} on ${process.platform}`);
  for (const stage of chosen) {
    console.log(`\n== ${stage.name}`);
    const started = performance.now();
    const counts = await stage.run();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    lines.push(`${stage.name.padEnd(10)} ${seconds.padStart(6)} s  ${describe(counts)}`);
    for (const key of /** @type {const} */ (["passed", "failed", "skipped"])) total[key] += counts[key];
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  total.failed += 1;
}

console.log(`\n== summary\n${lines.join("\n")}\n\n${describe(total)}`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** @param {import("./stages.mjs").Counts} counts */
function describe({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

/** @param {readonly string[]} names */
function chooseStages(names) {
  const unknown = names.find((name) => !STAGES.some((stage) => stage.name === name));
  if (unknown === undefined) return STAGES.filter((stage) => names.length === 0 || names.includes(stage.name));
  console.error(`npm test: no stage "${unknown}"; stages are ${STAGES.map((stage) => stage.name).join(", ")}`);
  process.exit(2);
}
