import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runSeed, SeededRandom } from "@usmp/testkit";
import { expect, test } from "vitest";
import { openRegistry } from "../../src/registry/open-registry.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";
import { Acknowledged, type ChildLine, checkFiles, readLines } from "./acknowledged.ts";

/** `npm run long -- crash` makes fifty of them. */
const ROUNDS = Number(process.env["USMP_CRASH_ROUNDS"] ?? 20);
const LONGEST_MS = 400;
const CHILD = fileURLToPath(new URL("./registry-child.mjs", import.meta.url));

onEachDatabase("kill -9 at random moments", (newHome) => {
  test(`loses nothing that was acknowledged, in ${ROUNDS} rounds`, async () => {
    const home = newHome();
    const random = new SeededRandom(runSeed());
    const acknowledged = new Acknowledged();
    let changes = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const lines = await runAndKill(home, random.between(0, LONGEST_MS));
      acknowledged.note(lines);
      changes += lines.filter(({ done }) => done !== undefined).length;
      // Every few rounds in this process; in between the next child opens what the last one left.
      if (round % 5 !== 4) continue;
      const opened = await openSoon(home);
      await acknowledged.check(opened);
      await opened.registry.close();
      checkFiles(home.directory);
    }
    expect(changes).toBeGreaterThan(ROUNDS);
  }, 300_000);
});

/** Starts the child, and kills it so many milliseconds after it has opened its registry; in every eighth round while it opens. */
async function runAndKill(home: TestHome, afterMs: number): Promise<readonly ChildLine[]> {
  const child = spawn(process.execPath, [CHILD, home.directory, home.database ?? "-", "random"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    timer ??= setTimeout(() => child.kill("SIGKILL"), afterMs);
  });
  const early = afterMs % 8 === 0 ? setTimeout(() => child.kill("SIGKILL"), 300 + afterMs) : undefined;
  await once(child, "close");
  clearTimeout(early);
  clearTimeout(timer);
  const lines = readLines(output);
  expect(lines.find(({ failed }) => failed === "open")).toBeUndefined();
  return lines;
}

/** PostgreSQL notices a killed client, and lets go of its lock, a moment later. */
async function openSoon(home: TestHome) {
  for (let tries = 0; ; tries++) {
    try {
      return await openRegistry({
        dataDirectory: home.directory,
        database: home.database,
        master: { kind: "file", path: `${home.directory}/master` },
        surroundings: { variables: {}, askPassphrase: undefined },
        announce: false,
      });
    } catch (error) {
      if (tries === 50 || (error as { code?: string }).code !== "already-running") throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
