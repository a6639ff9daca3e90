import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeviceKeys, type EnrolledDevice, hexDigits, parseMaster } from "@usmp/gateway";
import { connect, Secret } from "usmp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Child, finished, usmp } from "./process.ts";
import { filesBelow, searchFor } from "./secret-search.ts";

const ID = "7a:d3:e6:a9:9b:17";
const IMPORTED_ID = "02:00:00:00:00:02";
const BATCH_ID = "02:00:00:00:00:03";
const IMPORTED_TEST_KEY = "5ac6b51f0bd9a4c9c34d0f2b8d6f1f0c6b1d1f55a1c9e7b3528b0d9d1c2e4f61";
const FOREIGN_TEST_KEY = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";
const TEST_PASSPHRASE = "not secret: ochre-tundra-falcon-1187-gimlet";

/** Fault case 43 of the threats page: a whole life of a gateway and its devices, then a search for every secret of it. */
describe("no secret of a gateway's life is in its outputs, logs and files, but where it was handed out", () => {
  let folder: string;
  let data: string;
  /** Outputs that may hold no secret. */
  const outputs = new Map<string, Buffer>();
  /** Outputs and files that hand a key out: what the search must be able to find. */
  const handedOut = new Map<string, Buffer>();
  const secrets = new Map<string, Uint8Array>();
  const children: Child[] = [];

  const variables = (): Record<string, string> => ({
    USMP_DATA: data,
    USMP_PASSPHRASE_FILE: join(folder, "passphrase"),
    XDG_STATE_HOME: join(folder, "state"),
  });
  const bytes = (psk: string): Uint8Array => Uint8Array.from(Buffer.from(hexDigits(psk), "hex"));

  async function run(...words: string[]): Promise<{ code: number | null; out: string }> {
    const { code, out, err } = await finished(words, "", variables());
    outputs.set(`usmp ${words.join(" ")} (${outputs.size})`, Buffer.from(out + err));
    return { code, out };
  }

  /** A command that hands keys out: its output is searched for all others. */
  async function handing(...words: string[]): Promise<string> {
    const { code, out, err } = await finished(words, "", variables());
    expect(code, err).toBe(0);
    handedOut.set(`usmp ${words.join(" ")}`, Buffer.from(out));
    outputs.set(`usmp ${words.join(" ")}, its errors`, Buffer.from(err));
    return out;
  }

  async function gateway(...words: string[]): Promise<{ child: Child; port: (transport: string) => number }> {
    const child = usmp(["gateway", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", ...words], variables());
    children.push(child);
    await Promise.race([child.stdout.line((line) => /listening.*udp/.test(line)), child.exit]);
    const port = (transport: string): number => {
      const line = child.stdout.lines.find((each) => each.includes("listening") && each.includes(transport)) ?? "";
      return Number(/127\.0\.0\.1"?[:,](?:"port":)?(\d+)/.exec(line)?.[1]);
    };
    return { child, port };
  }

  async function visit(port: number, transport: "tcp" | "udp", deviceId: string, psk: Uint8Array): Promise<boolean> {
    try {
      const session = await connect({
        host: "127.0.0.1",
        port,
        transport,
        deviceId,
        psk: new Secret(psk),
        handshakeTimeoutMs: 3_000,
      });
      await session.send("a reading: 21.5");
      await session.close();
      return true;
    } catch {
      return false;
    }
  }

  function note(name: string, psk: string): Uint8Array {
    secrets.set(name, bytes(psk));
    return bytes(psk);
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "usmp-secrets-"));
    data = join(folder, "data");
    writeFileSync(join(folder, "passphrase"), `${TEST_PASSPHRASE}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "imported.key"), `${IMPORTED_TEST_KEY}\n`, { mode: 0o600 });
    const { child, port } = await gateway("--json");
    secrets.set("control token", Buffer.from(readFileSync(join(data, "control.token"), "utf8").trim()));

    const enrolled = JSON.parse(await handing("device", "add", ID, "--json")) as EnrolledDevice;
    const first = note("derived key, generation 1", enrolled.psk);
    await run(
      "device",
      "add",
      IMPORTED_ID,
      "--key-file",
      join(folder, "imported.key"),
      "--save-key",
      join(folder, "handed-out.key"),
    );
    const imported = note("imported key", IMPORTED_TEST_KEY);
    const batch = note("batch key", (await handing("factory-key", "2026-11")).trim());
    await run("device", "add", BATCH_ID, "--batch", "2026-11", "--nvs", join(folder, "images"));
    note("a foreign key that a device tried", FOREIGN_TEST_KEY);

    for (const transport of ["tcp", "udp"] as const) {
      expect(await visit(port(transport), transport, ID, first)).toBe(true);
      expect(await visit(port(transport), transport, IMPORTED_ID, imported)).toBe(true);
    }
    expect(await visit(port("tcp"), "tcp", ID, bytes(FOREIGN_TEST_KEY))).toBe(false);
    expect(await visit(port("tcp"), "tcp", ID, Buffer.from(hexDigits(enrolled.psk)))).toBe(false);
    expect(await visit(port("tcp"), "tcp", "02:00:00:00:00:99", bytes(FOREIGN_TEST_KEY))).toBe(false);

    const rotated = JSON.parse(await handing("device", "rotate", ID, "--json")) as EnrolledDevice;
    const second = note("derived key, generation 2", rotated.psk);
    expect(await visit(port("tcp"), "tcp", ID, second)).toBe(true);
    // The old key is gone within a second of the new one's proof.
    while (await visit(port("tcp"), "tcp", ID, first)) await new Promise((resolve) => setImmediate(resolve));
    await run("device", "revoke", IMPORTED_ID);
    expect(await visit(port("tcp"), "tcp", IMPORTED_ID, imported)).toBe(false);

    for (const words of [["device", "list"], ["device", "show", ID], ["device", "seen"], ["why"], ["why", ID]]) {
      await run(...words);
      await run(...words, "--json");
    }
    expect((await run("doctor", ID)).code).toBeLessThanOrEqual(1);
    await run("doctor", "--json");
    expect((await run("audit", "verify")).code).toBe(0);
    await run("audit", "export");
    expect((await run("backup", join(folder, "fleet.backup"))).code).toBe(0);
    expect((await run("gateway", "--tcp", "127.0.0.1:0")).code).toBe(1); // a second one
    expect((await run("device", "add", ID)).code).toBe(1);
    expect((await run("device", "add", "02:00:00:00:00:98", "--key-file", join(folder, "imported.key"))).code).toBe(1);
    outputs.set("its arguments in the process list", readFileSync(`/proc/${child.process.pid}/cmdline`));

    const master = parseMaster(readFileSync(join(data, "master")), "master");
    using secret = master.copy();
    secrets.set("master secret", secret.expose().slice());
    for (const label of ["derive", "seal", "audit", "backup"] as const) {
      using subkey = master.subkey(label);
      secrets.set(`subkey ${label}`, subkey.expose().slice());
    }
    const keys = new DeviceKeys(master);
    using factoryKey = keys.deriveFactory("2026-11", BATCH_ID, 1);
    secrets.set("factory-made key", factoryKey.expose().slice());
    expect(Buffer.from(keys.batchKey("2026-11").expose()).equals(Buffer.from(batch))).toBe(true);
    secrets.set("passphrase of the backup", Buffer.from(TEST_PASSPHRASE));

    // Write-ahead log and all, as a thief would copy it while it runs; then once more after its end and a second start.
    for (const name of ["usmp.db", "usmp.db-wal"]) copyFileSync(join(data, name), join(folder, `stolen-${name}`));
    child.process.kill("SIGTERM");
    await child.exit;
    const again = await gateway();
    expect(await visit(again.port("tcp"), "tcp", ID, second)).toBe(true);
    again.child.process.kill("SIGTERM");
    await again.child.exit;
    for (const [index, { stdout, stderr }] of children.entries()) {
      outputs.set(`log of start ${index + 1}`, Buffer.from(stdout.text + stderr.text));
    }
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Files that are there to hold a secret, and which. */
  const holds = (file: string, secret: string): boolean =>
    (file === join(data, "master") && secret === "master secret") ||
    (file === join(folder, "passphrase") && secret === "passphrase of the backup") ||
    ([join(folder, "imported.key"), join(folder, "handed-out.key")].includes(file) && secret === "imported key") ||
    (file.startsWith(join(folder, "images")) && secret === "factory-made key");

  test("the gateway's log, and what every other command printed", () => {
    expect(outputs.size).toBeGreaterThan(20);
    expect(searchFor(secrets, outputs)).toEqual([]);
  });

  test("its files, the database and its log as they were copied while it ran, and the backup", () => {
    const files = filesBelow(folder);
    expect([...files.keys()].some((file) => file.endsWith("usmp.db"))).toBe(true);
    expect([...files.keys()].some((file) => file.endsWith("fleet.backup"))).toBe(true);
    expect(searchFor(secrets, files).filter(({ secret, where }) => !holds(where, secret))).toEqual([]);
  });

  test("commands that hand a key out show that key and no other", () => {
    const found = searchFor(secrets, handedOut);
    const shown = [...new Set(found.map(({ secret, where }) => `${where}: ${secret}`))].sort();
    expect(shown).toEqual([
      `usmp device add ${ID} --json: derived key, generation 1`,
      `usmp device rotate ${ID} --json: derived key, generation 2`,
      "usmp factory-key 2026-11: batch key",
    ]);
  });

  test("the search finds what is there: the files that hold a secret are found to", () => {
    const found = searchFor(secrets, filesBelow(folder));
    expect(new Set(found.filter(({ secret, where }) => holds(where, secret)).map(({ secret }) => secret))).toEqual(
      new Set(["master secret", "passphrase of the backup", "imported key", "factory-made key"]),
    );
  });
});
