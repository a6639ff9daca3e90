import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { Secret } from "@usmp/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nextMaster, openMaster } from "../../src/master/open-master.ts";
import { describeSource, diskExposure, type MasterSource } from "../../src/master/sources.ts";

const HEX = "11".repeat(32);
const NOBODY = { variables: {}, askPassphrase: undefined };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-master-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a file is made on the first run, with mode 0600, and read afterwards", async () => {
  const source: MasterSource = { kind: "file", path: join(folder, "deep", "master") };
  const { master, created } = await openMaster(source, NOBODY, undefined);
  expect(created).toBe(true);
  expect(statSync(source.path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "deep")).mode & 0o777).toBe(0o700);
  const again = await openMaster(source, NOBODY, master.id);
  expect(again).toMatchObject({ created: false, master: { id: master.id } });
  expect(hex(again.master.subkey("derive"))).toBe(hex(master.subkey("derive")));
});

test("two first runs at once agree on one master", async () => {
  const source: MasterSource = { kind: "file", path: join(folder, "master") };
  const opened = await Promise.all(Array.from({ length: 8 }, () => openMaster(source, NOBODY, undefined)));
  expect(new Set(opened.map(({ master }) => master.id)).size).toBe(1);
});

test.runIf(process.getuid?.() === 0)(
  "what systemd hands over as a credential is read: root's, mode 0440, by an access list",
  async () => {
    const path = join(folder, "master");
    writeFileSync(path, HEX);
    chmodSync(path, 0o440);
    expect(await openMaster({ kind: "file", path }, NOBODY, undefined)).toMatchObject({ created: false });
    chownSync(path, 65_534, 0);
    await expect(openMaster({ kind: "file", path }, NOBODY, undefined)).rejects.toMatchObject({
      code: "master-exposed",
    });
  },
);

test("a file that others may read or change, or that holds something else, is refused", async () => {
  const path = join(folder, "master");
  writeFileSync(path, `${HEX}\n`, { mode: 0o640 });
  await expect(openMaster({ kind: "file", path }, NOBODY, undefined)).rejects.toMatchObject({ code: "master-exposed" });
  chmodSync(path, 0o600);
  expect((await openMaster({ kind: "file", path }, NOBODY, undefined)).created).toBe(false);
  writeFileSync(path, "11");
  await expect(openMaster({ kind: "file", path }, NOBODY, undefined)).rejects.toMatchObject({ code: "master-source" });
});

test("an environment variable is read once and taken out", async () => {
  const variables: Record<string, string | undefined> = { USMP_MASTER: HEX };
  const source: MasterSource = { kind: "variable", name: "USMP_MASTER" };
  const { master } = await openMaster(source, { variables, askPassphrase: undefined }, undefined);
  expect(master.id).toMatch(/^[0-9a-f]{16}$/);
  expect(variables).toEqual({});
  await expect(openMaster(source, { variables, askPassphrase: undefined }, undefined)).rejects.toMatchObject({
    message: expect.stringContaining("USMP_MASTER is not set"),
  });
});

test("a command's output is the master; nothing of it stands in an error", async () => {
  const good: MasterSource = { kind: "command", words: [process.execPath, "-e", `console.log("${HEX}")`] };
  const { master } = await openMaster(good, NOBODY, undefined);
  writeFileSync(join(folder, "master"), HEX, { mode: 0o600 });
  expect((await openMaster({ kind: "file", path: join(folder, "master") }, NOBODY, undefined)).master.id).toBe(
    master.id,
  );
  for (const script of [
    `console.log("${HEX}zz")`,
    `console.log("${HEX}"); console.error("no such token"); process.exit(3)`,
  ]) {
    const failure = await openMaster(
      { kind: "command", words: [process.execPath, "-e", script] },
      NOBODY,
      undefined,
    ).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: "master-source" });
    expect(inspect(failure)).not.toContain(HEX);
  }
  await expect(openMaster({ kind: "command", words: [join(folder, "none")] }, NOBODY, undefined)).rejects.toMatchObject(
    { message: expect.stringContaining("ENOENT") },
  );
  await expect(openMaster({ kind: "command", words: [] }, NOBODY, undefined)).rejects.toMatchObject({ code: "usage" });
});

test("a sealed file opens with its passphrase alone, and has nothing of the master in the clear", async () => {
  const source: MasterSource = { kind: "sealed-file", path: join(folder, "sealed") };
  const asked: [string, boolean][] = [];
  const answering = (passphrase: string) => ({
    variables: {},
    askPassphrase: (what: string, confirm: boolean) => {
      asked.push([what, confirm]);
      return Promise.resolve(new Secret(new TextEncoder().encode(passphrase)));
    },
  });
  await expect(openMaster(source, answering("too short"), undefined)).rejects.toMatchObject({ code: "usage" });
  const { master } = await openMaster(source, answering("a test passphrase, not secret"), undefined);
  expect(asked.at(-1)).toEqual([`Passphrase for ${source.path}: `, true]);
  const text = readFileSync(source.path, "utf8");
  expect(text).not.toContain(hex(master.copy()));
  expect(JSON.parse(text).kdf).toMatchObject({ name: "argon2id", memoryKiB: 65_536, passes: 3, lanes: 4 });
  expect((await openMaster(source, answering("a test passphrase, not secret"), master.id)).master.id).toBe(master.id);
  expect(asked.at(-1)?.[1]).toBe(false);
  await expect(openMaster(source, answering("another test passphrase"), master.id)).rejects.toMatchObject({
    code: "wrong-passphrase",
  });
  await expect(openMaster(source, NOBODY, master.id)).rejects.toMatchObject({ code: "master-source" });
  for (const [from, to] of [
    ['"memoryKiB":65536', '"memoryKiB":99999999'],
    ['"passes":3', '"passes":4'],
    ["argon2id", "scrypt"],
    ["usmp master", "other"],
  ] as const) {
    writeFileSync(source.path, text.replace(from, to));
    await expect(openMaster(source, answering("a test passphrase, not secret"), master.id)).rejects.toMatchObject({
      code: expect.stringMatching(/damaged|wrong-passphrase/),
    });
  }
  writeFileSync(source.path, text.slice(0, 40));
  await expect(openMaster(source, answering("a test passphrase, not secret"), master.id)).rejects.toMatchObject({
    code: "damaged",
  });
}, 60_000); // Argon2id is slow on purpose

test("a master prints as redacted", async () => {
  const { master } = await openMaster({ kind: "file", path: join(folder, "master") }, NOBODY, undefined);
  const secret = hex(master.copy());
  for (const shown of [inspect(master, { depth: 9, showHidden: true }), JSON.stringify(master), String(master)]) {
    expect(shown).not.toContain(secret);
    expect(shown).not.toMatch(/[0-9a-f]{64}/);
  }
});

test("a next master of a variable or a command is its owner's to make", () => {
  expect(() => nextMaster({ kind: "variable", name: "USMP_MASTER" }, NOBODY, undefined)).toThrow("--to FILE");
});

test("what a stolen disk gives away is said of a file in the clear, and of no other source", () => {
  const path = "/var/lib/usmp/master";
  expect(diskExposure({ kind: "file", path }, "this-host")?.problem).toContain("beside the database");
  expect(diskExposure({ kind: "file", path }, "another-host")?.problem).toContain("copy of the database");
  expect(diskExposure({ kind: "sealed-file", path }, "this-host")).toBeUndefined();
  expect(diskExposure({ kind: "variable", name: "M" }, "this-host")).toBeUndefined();
  expect(
    [
      { kind: "file", path } as const,
      { kind: "sealed-file", path } as const,
      { kind: "variable", name: "M" } as const,
      { kind: "command", words: ["kms", "secret"] } as const,
    ].map(describeSource),
  ).toEqual([`file ${path}`, `file ${path}, sealed with a passphrase`, "environment variable M", "command kms"]);
  expect(existsSync(path)).toBe(false);
});

function hex(secret: Secret): string {
  return Buffer.from(secret.expose()).toString("hex");
}
