import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { type OpenedRegistry, openRegistry } from "../../src/registry/open-registry.ts";
import { ADA } from "../support/registries.ts";
import { Acknowledged, checkFiles } from "./acknowledged.ts";
import { type Call, countCalls, type Group, hasStrace, runTraced, type TracedRun } from "./strace.ts";

/** Between openat and the call that follows it nothing happens that a kill at the latter would not show. */
const KILLS = ["write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink"] as const;
const EXISTING = "02:00:00:00:00:ff";

/** A key is written (a device added, then rotated) on a registry that has one already, and on none. */
describe.skipIf(!hasStrace())("a key write", () => {
  const root = mkdtempSync(join(tmpdir(), "usmp-strace-"));
  const used = join(root, "used");
  beforeAll(async () => {
    const { registry } = await open(used);
    await registry.add({ id: EXISTING, name: undefined, tags: [] }, ADA);
    await registry.close();
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  for (const group of ["database", "files"] as const) {
    test(`is whole or absent after kill -9 at every system call on its ${group}`, async () => {
      expect(await killEverywhere(root, used, group)).toBeGreaterThan(10);
    }, 600_000);
  }

  test("of the very first run leaves nothing that stops the next one, wherever it is killed", async () => {
    expect(await killEverywhere(root, undefined, "files")).toBeGreaterThan(10);
  }, 600_000);

  test.each([
    ["database", "fsync", "EIO"],
    ["database", "pwrite64", "ENOSPC"],
    ["database", "pwrite64", "EIO"],
    ["files", "write", "ENOSPC"],
    ["files", "fsync", "EIO"],
    ["files", "rename", "EIO"],
    ["files", "openat", "ENOSPC"],
  ] as const)(
    "fails with a clear error, and nothing else, when any %s %s gives %s",
    async (group, call, error) => {
      let failures = 0;
      for (const when of await everyCall(root, used, group, call)) {
        const directory = fresh(root, used);
        const run = runTraced(directory, group, `${call}:error=${error}:when=${when}`);
        const where = `${call} ${when} of ${error}: ${run.stderr}`;
        expect([0, 3], where).toContain(run.status);
        for (const { failed, code, message } of run.lines.filter((line) => line.failed !== undefined)) {
          failures++;
          expect(code, `${where} ${failed} ${message}`).toMatch(/^(database|damaged|master-source)$/);
        }
        await judge(directory, run, EXISTING);
      }
      expect(failures).toBeGreaterThan(0);
    },
    600_000,
  );
});

/** Kills the child at the first, second, ... call of each kind, until it gets through; answers how often it died. */
async function killEverywhere(root: string, from: string | undefined, group: Group): Promise<number> {
  let died = 0;
  for (const call of KILLS) {
    for (let when = 1; ; when++) {
      const directory = fresh(root, from);
      const run = runTraced(directory, group, `${call}:signal=KILL:when=${when}`);
      await judge(directory, run, from === undefined ? undefined : EXISTING);
      if (run.lines.at(-1)?.closed === true) break;
      died++;
    }
  }
  return died;
}

/** After whatever happened, the next start finds what was acknowledged, and every key is old or new, never half. */
async function judge(directory: string, run: TracedRun, existing: string | undefined): Promise<void> {
  const acknowledged = new Acknowledged();
  if (existing !== undefined) acknowledged.note([{ done: "add", id: existing, generation: 1 }]);
  acknowledged.note(run.lines);
  const opened = await open(directory);
  try {
    await acknowledged.check(opened);
    for (const device of opened.registry.devices()) {
      for (const { key } of opened.registry.candidates(device.id)) expect(key.length).toBeGreaterThanOrEqual(32);
    }
    await opened.registry.add({ id: undefined, name: undefined, tags: [] }, ADA);
  } finally {
    await opened.registry.close();
  }
  checkFiles(directory);
  rmSync(directory, { recursive: true, force: true });
}

/** Which of the group's calls to let fail: all when they are few, else every third. */
async function everyCall(root: string, from: string, group: Group, call: Call): Promise<readonly number[]> {
  const { lines, trace, stderr } = runTraced(fresh(root, from), group);
  expect(lines.at(-1)?.closed, stderr).toBe(true);
  const count = countCalls(trace, call);
  return Array.from({ length: count }, (_, index) => index + 1).filter((when) => count < 20 || when % 3 === 0);
}

let copies = 0;
function fresh(root: string, from: string | undefined): string {
  const directory = join(root, `run-${copies++}`);
  if (from !== undefined) cpSync(from, directory, { recursive: true });
  return directory;
}

async function open(directory: string): Promise<OpenedRegistry> {
  try {
    return await openRegistry({
      dataDirectory: directory,
      database: undefined,
      master: { kind: "file", path: join(directory, "master") },
      surroundings: { variables: {}, askPassphrase: undefined },
      announce: false,
    });
  } catch (error) {
    throw new Error(`${directory} does not open: ${error instanceof GatewayError ? error.message : error}`, {
      cause: error,
    });
  }
}
