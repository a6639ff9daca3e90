/** `npm run check:lint`: everything about the source that is neither its format nor its types. Runs all, then judges. */
import { run, runTool } from "./run.mjs";

const results = [
  await runTool("biome", ["lint", "--error-on-warnings", "."]),
  await runTool("depcruise", ["--config", ".dependency-cruiser.cjs", "packages", "apps"]),
  await runTool("knip", []),
  await run(process.execPath, ["scripts/house-rules.mjs"]),
];
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
