/**
 * `npm start [-- arguments]`: from a fresh clone to a running gateway. Installs and builds what is missing, then runs
 * `usmp gateway` in this process, so that signals, the terminal and the exit code are the gateway's own.
 */
process.title = "usmp gateway"; // first: it hides a key in the arguments; see apps/cli/bin/usmp.mjs

const { ensurePackages } = await import("./dependencies.mjs");
const { buildNative } = await import("./native.mjs");
const { runTool } = await import("./run.mjs");

try {
  await ensurePackages();
  const build = await runTool("tsc", ["-b"], { capture: true });
  if (!build.ok) throw new Error(`The build failed:\n${build.output}`);
  // Without cargo, or when it fails, the gateway runs on node:crypto, slower: `usmp doctor` says which is in use.
  const native = await buildNative();
  if (native.state === "failed") console.error(`The native addon was not built, going on without:\n${native.output}`);
  process.argv.splice(2, 0, "gateway");
  await import("../apps/cli/bin/usmp.mjs");
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
