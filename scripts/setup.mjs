/** `npm run test:setup`: installs the system parts that tests need, on Debian as root; names them elsewhere. */
import { existsSync } from "node:fs";
import { run } from "./run.mjs";
import { missingParts } from "./system-parts.mjs";

const missing = await missingParts();
if (missing.length === 0) console.log("Nothing to do: all system parts that the tests need are here.");
else process.exitCode = await install(missing.map((part) => part.debianPackage));

/** @param {readonly string[]} packages */
async function install(packages) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  if (!existsSync("/etc/debian_version")) {
    console.error(`Not a Debian system. Install what these Debian packages hold: ${packages.join(" ")}`);
    return 1;
  }
  if (process.getuid?.() !== 0) {
    console.error(`Not root. Run as root: ${command}`);
    return 1;
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const [, ...args] = command.split(" ");
  // The package lists of a fresh container are empty or stale; they are fetched only when the first try fails.
  if ((await run("apt-get", args, { env, capture: true })).ok) return report(packages);
  await run("apt-get", ["update", "-q"], { env, capture: true });
  const retry = await run("apt-get", args, { env, capture: true });
  if (retry.ok) return report(packages);
  console.error(`${command} failed:\n${retry.output}`);
  return 1;
}

/**
 * Judges by the parts themselves: a package that is installed is not yet a program that runs.
 * @param {readonly string[]} packages
 */
async function report(packages) {
  const stillMissing = await missingParts();
  if (stillMissing.length === 0) console.log(`Installed: ${packages.join(" ")}`);
  for (const part of stillMissing) console.error(`${part.debianPackage} is installed, yet ${part.name} does not run.`);
  return stillMissing.length === 0 ? 0 : 1;
}
