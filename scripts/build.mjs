/** `npm run build`, and `prepare` after an install: compiles what changed, and prints nothing when nothing did. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runTool } from "./run.mjs";

if (existsSync(join(ROOT, "node_modules", "typescript"))) {
  const { ok } = await runTool("tsc", ["-b"]);
  // An install goes through with type errors: tsc has printed them and written JavaScript, and `npm test` counts them.
  if (!ok && process.env.npm_lifecycle_event !== "prepare") process.exitCode = 1;
} else {
  console.error("Not built: TypeScript is not installed (development dependencies were left out).");
}
