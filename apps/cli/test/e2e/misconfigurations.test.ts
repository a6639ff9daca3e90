import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { connect as openTcp } from "node:net";
import { join } from "node:path";
import { connect as openTls } from "node:tls";
import { afterAll, describe, expect, test } from "vitest";
import { GatewayBench, keyBytes, type Said, shell } from "../gateway-bench.ts";

const ID = "7a:d3:e6:a9:9b:17";
const OTHER_ID = "02:00:00:00:00:02";
const TEST_KEY = `${"a5".repeat(8)}4f11c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17`;
const DEVELOPMENT_KEY = "usmp-dev-psk-change-me-before-prod";

/** What is wrong, and what the owner's first look at it must say. */
interface Misconfiguration {
  readonly name: string;
  /** Makes it so; answers the key that the device holds, when a device is concerned. */
  seed(bench: GatewayBench): Promise<Uint8Array | undefined>;
  readonly ask: readonly ["why" | "doctor", ...string[]];
  /** In the first line. */
  readonly cause: RegExp;
  /** What a person does who reads a fix that is no command. */
  readonly byHand?: (held: Uint8Array, bench: GatewayBench) => Promise<Uint8Array>;
}

const text = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits));
const hexText = (key: Uint8Array): string => Buffer.from(key).toString("hex");

/** Tries with a key that must be refused. */
async function refused(bench: GatewayBench, key: Uint8Array): Promise<Uint8Array> {
  expect(await bench.admits(ID, key)).toBe(false);
  return key;
}

/** A device that holds what `wrong` makes of its right key. */
const holding =
  (wrong: (right: Uint8Array) => Uint8Array) =>
  async (bench: GatewayBench): Promise<Uint8Array> =>
    refused(bench, wrong(await bench.add(ID)));

/** A device whose key was brought along, and which holds what `wrong` makes of it. */
const importedAs =
  (written: string, held: Uint8Array) =>
  async (bench: GatewayBench): Promise<Uint8Array> => {
    const file = join(bench.directory, "imported.key");
    writeFileSync(file, written, { mode: 0o600 });
    await bench.add(ID, "--key-file", file);
    return refused(bench, held);
  };

/** After a change of the device, it comes with the key that was good before. */
const after =
  (...words: string[]) =>
  async (bench: GatewayBench): Promise<Uint8Array> => {
    const key = await bench.add(ID);
    expect((await bench.usmp("device", ...words)).code).toBe(0);
    return refused(bench, key);
  };

/** Sends raw bytes over TCP and waits for the end of the connection. */
async function sends(bench: GatewayBench, bytes: Uint8Array): Promise<undefined> {
  const socket = openTcp(bench.port("tcp"), "127.0.0.1");
  socket.on("error", () => {}).resume();
  socket.end(bytes);
  await once(socket, "close");
  return undefined;
}

const HELLO = Buffer.from(`cdab02010000000026006ebb${"7ad3e6a99b17"}${"11".repeat(32)}`, "hex");
const aDeviceThatIsRight = async (_: Uint8Array, bench: GatewayBench): Promise<Uint8Array> => bench.add(ID);

/** Enrols a device, writes a backup, and stops: what comes after is an accident of the disk. */
async function withBackup(bench: GatewayBench): Promise<Uint8Array> {
  writeFileSync(join(bench.directory, "passphrase"), "not secret: ochre tundra falcon 1187\n", { mode: 0o600 });
  bench.variables["USMP_PASSPHRASE_FILE"] = join(bench.directory, "passphrase");
  const key = await bench.add(ID);
  expect((await bench.usmp("backup", join(bench.directory, "fleet.backup"))).code).toBe(0);
  await bench.stop();
  return key;
}

/** A restore as the answer says, with the names of the backup and of the other directory put in. */
async function restore(bench: GatewayBench, command: string): Promise<void> {
  const other = join(bench.directory, "another");
  const words = command.replace("FILE", join(bench.directory, "fleet.backup")).replace("ANOTHER-DIR", other).split(" ");
  const { code, err } = await bench.usmp(...words.slice(1), "--yes");
  expect(code, err).toBe(0);
  if (command.includes("ANOTHER-DIR")) bench.variables["USMP_DATA"] = other;
  await bench.start();
}

const WHY = ["why", ID] as const;
const MISCONFIGURATIONS: readonly Misconfiguration[] = [
  {
    name: "the device was never enrolled",
    seed: (bench) => refused(bench, keyBytes(TEST_KEY)),
    ask: WHY,
    cause: /^unknown-device: 7a:d3:e6:a9:9b:17 is not enrolled here/,
  },
  { name: "the device was deleted", seed: after("delete", ID), ask: WHY, cause: /^unknown-device: .* was deleted on/ },
  { name: "the device is suspended", seed: after("suspend", ID), ask: WHY, cause: /^suspended: .* is suspended since/ },
  { name: "the device is revoked", seed: after("revoke", ID), ask: WHY, cause: /^revoked: .* is revoked since/ },
  {
    name: "the device holds another key",
    seed: holding(() => keyBytes(TEST_KEY)),
    ask: WHY,
    cause: /^wrong-key: .* does not hold its key/,
  },
  {
    name: "the device uses the hex digits as text",
    seed: holding((key) => text(hexText(key))),
    ask: WHY,
    cause: /^wrong-key: .* TEXT form/,
  },
  {
    name: "the device uses the hex digits as text, in capitals",
    seed: holding((key) => text(hexText(key).toUpperCase())),
    ask: WHY,
    cause: /^wrong-key: .* TEXT form .*CAPITALS/,
  },
  {
    name: "the device decodes what is meant as text",
    seed: importedAs(`text:${TEST_KEY}\n`, keyBytes(TEST_KEY)),
    ask: WHY,
    cause: /^wrong-key: .* HEX-DECODED form/,
    byHand: async () => text(TEST_KEY),
  },
  {
    name: "the device read its key with the line end of the file",
    seed: importedAs(`text:${TEST_KEY}\n`, text(`${TEST_KEY}\n`)),
    ask: WHY,
    cause: /^wrong-key: .* LINE END/,
  },
  {
    name: "a C string function cut the device's key at a zero byte",
    seed: importedAs(`${TEST_KEY.slice(0, 40)}00${TEST_KEY.slice(42)}\n`, keyBytes(TEST_KEY.slice(0, 40))),
    ask: WHY,
    cause: /^wrong-key: .* CUT it at the first zero byte/,
    byHand: async () => keyBytes(`${TEST_KEY.slice(0, 40)}00${TEST_KEY.slice(42)}`),
  },
  {
    name: "the device holds the development key",
    seed: holding(() => text(DEVELOPMENT_KEY)),
    ask: WHY,
    cause: /^development-key: /,
  },
  {
    name: "the device holds the key of a public example",
    seed: holding(() => text("your-generated-psk-here")),
    ask: WHY,
    cause: /^published-key: .*your-generated-psk-here/,
  },
  {
    name: "two devices' images were swapped",
    async seed(bench) {
      await bench.add(ID);
      return refused(bench, await bench.add(OTHER_ID));
    },
    ask: WHY,
    cause: /^key-of-another-device: /,
  },
  {
    name: "the device holds the key from before a rotation",
    async seed(bench) {
      const old = await bench.add(ID);
      expect((await bench.usmp("device", "rotate", ID, "--compromised")).code).toBe(0);
      return refused(bench, old);
    },
    ask: WHY,
    cause: /^old-generation: .* generation 1; the present one is generation 2/,
  },
  {
    name: "the device speaks version 1",
    seed: (bench) =>
      sends(
        bench,
        HELLO.map((byte, index) => (index === 2 ? 1 : byte)),
      ),
    ask: ["why"],
    cause: /^version: the peer speaks protocol version 1; this gateway speaks version 2/,
    byHand: aDeviceThatIsRight,
  },
  {
    name: "a client speaks TLS to the port",
    async seed(bench) {
      const socket = openTls({ host: "127.0.0.1", port: bench.port("tcp"), rejectUnauthorized: false });
      await new Promise((resolve) => socket.on("error", () => {}).on("close", resolve));
      return undefined;
    },
    ask: ["why"],
    cause: /^not-usmp: .*TLS/,
    byHand: aDeviceThatIsRight,
  },
  {
    name: "the device computes another CRC",
    seed: (bench) =>
      sends(
        bench,
        HELLO.map((byte, index) => (index === 10 ? byte ^ 1 : byte)),
      ),
    ask: ["why"],
    cause: /^malformed-frame: malformed frame at offset \d+ of the handshake \(bad-crc\)/,
    byHand: aDeviceThatIsRight,
  },
  {
    name: "no gateway runs",
    async seed(bench) {
      await bench.stop();
      return undefined;
    },
    ask: ["doctor"],
    cause: /^problem +gateway +no gateway runs on /,
  },
  {
    name: "others can read the master secret",
    async seed(bench) {
      await bench.stop();
      chmodSync(join(bench.directory, "master"), 0o644);
      await expect(bench.start()).rejects.toThrow("master-exposed");
      return undefined;
    },
    ask: ["doctor"],
    cause: /^problem +files +others can read or change .*master \(mode 644\)/,
  },
  {
    name: "others can look into the data directory",
    async seed(bench) {
      chmodSync(bench.directory, 0o755);
      return undefined;
    },
    ask: ["doctor"],
    cause: /^problem +files +others can read or change .* \(mode 755\)/,
  },
  {
    name: "others can read the database",
    async seed(bench) {
      chmodSync(join(bench.directory, "usmp.db"), 0o664);
      return undefined;
    },
    ask: ["doctor"],
    cause: /^problem +files +others can read or change .*usmp\.db \(mode 664\)/,
  },
  {
    name: "the database is damaged",
    async seed(bench) {
      const key = await withBackup(bench);
      writeFileSync(join(bench.directory, "usmp.db"), "no database any more\n".repeat(500));
      await expect(bench.start()).rejects.toThrow("damaged");
      return key;
    },
    ask: ["doctor"],
    cause: /^problem +database +.*usmp\.db is damaged/,
  },
  {
    name: "the master secret was lost",
    async seed(bench) {
      const key = await withBackup(bench);
      rmSync(join(bench.directory, "master"));
      await expect(bench.start()).rejects.toThrow("master-missing");
      return key;
    },
    ask: ["doctor"],
    cause: /^problem +master +the master secret .*master is missing/,
  },
  {
    name: "the master secret is another gateway's",
    async seed(bench) {
      const key = await withBackup(bench);
      writeFileSync(join(bench.directory, "master"), `${TEST_KEY}\n`);
      await expect(bench.start()).rejects.toThrow("master-mismatch");
      return key;
    },
    ask: ["doctor"],
    cause: /^problem +database +the database belongs to master [0-9a-f]{16}, but .*master holds master [0-9a-f]{16}/,
  },
  {
    name: "the gateway listens on this host alone",
    seed: async () => undefined,
    ask: ["doctor"],
    cause: /^warning +ports +the gateway listens on this host alone/,
  },
  {
    name: "the gateway was left in development mode",
    async seed(bench) {
      await bench.stop();
      await bench.start("--dev", "--tcp", ":0");
      return undefined;
    },
    ask: ["doctor"],
    cause: /^warning +gateway +the gateway runs in DEVELOPMENT MODE/,
  },
  {
    name: "the device was suspended, and has not come since",
    async seed(bench) {
      const key = await bench.add(ID);
      expect((await bench.usmp("device", "suspend", ID)).code).toBe(0);
      return key;
    },
    ask: ["doctor", ID],
    cause: /^problem +device +7a:d3:e6:a9:9b:17 is suspended/,
  },
];

describe("seeded misconfigurations", () => {
  let named = 0;

  test.each(MISCONFIGURATIONS)("$name: the first line names the cause, and the fix works", async (misconfiguration) => {
    const bench = new GatewayBench();
    await bench.start();
    const held = await misconfiguration.seed(bench);
    const said = await bench.usmp(...misconfiguration.ask);
    expect(said.lines[0]).toMatch(misconfiguration.cause);
    named++;
    const mended = await follow(bench, said, held, misconfiguration);
    if (misconfiguration.ask[0] === "doctor") {
      const again = await bench.usmp(...misconfiguration.ask);
      expect(again.lines.join("\n")).not.toMatch(new RegExp(misconfiguration.cause.source, "m"));
    }
    if (mended !== undefined) expect(await bench.admits(ID, mended)).toBe(true);
  });

  afterAll(() => {
    expect(named).toBe(MISCONFIGURATIONS.length);
    expect(named).toBeGreaterThanOrEqual(20);
  });
});

/** Does what the answer says, line by line, and answers the key that the device holds then. */
async function follow(
  bench: GatewayBench,
  said: Said,
  held: Uint8Array | undefined,
  { byHand, ask }: Misconfiguration,
): Promise<Uint8Array | undefined> {
  let key = held;
  for (const line of fixesOf(said, ask[0])) {
    const command = line.replace(/ +#.*$/, "");
    const python = /\(Python: (.+)\)$/.exec(line)?.[1];
    if (command.startsWith("usmp gateway")) {
      await bench.stop();
      await bench.start(...command.split(" ").slice(2));
    } else if (command.startsWith("usmp why")) {
      key = held;
    } else if (command.startsWith("usmp restore")) {
      await restore(bench, command);
    } else if (command.startsWith("usmp ")) {
      const printed = await bench.json<{ psk?: string }>(...command.split(" ").slice(1));
      const psk = printed.find((object) => object.psk !== undefined)?.psk;
      if (psk !== undefined) key = keyBytes(psk);
    } else if (/^(chmod|mv) /.test(command)) {
      shell(command);
    } else if (byHand !== undefined) {
      key = await byHand(held ?? new Uint8Array(0), bench);
    } else if (python !== undefined) {
      key = evaluated(python, held as Uint8Array);
    } else {
      // What is done by hand with the command before or after it.
      expect(line).toMatch(
        /^put the key that this prints into the device$|; or restore a backup .* into another directory:$|; or restore a backup into another directory:$/,
      );
    }
  }
  return key;
}

/** The lines of the first answer that say what to do. */
function fixesOf({ lines }: Said, command: "why" | "doctor"): readonly string[] {
  if (command === "why") {
    const end = lines.indexOf("");
    const first = end === -1 ? lines : lines.slice(0, end);
    return first.flatMap((line) => /^ {2}fix: (.*)$/.exec(line)?.[1] ?? []);
  }
  const fixes: string[] = [];
  for (const line of lines.slice(1)) {
    if (!line.startsWith(" ")) break;
    fixes.push(line.trim().replace(/^\$ /, ""));
  }
  expect(fixes.length).toBeGreaterThan(0);
  return fixes;
}

/** The line of Python that a fix gives, run on the text that the device held. */
function evaluated(expression: string, held: Uint8Array): Uint8Array {
  const program = `import sys; key = sys.stdin.read(); value = ${expression}; value = value.encode() if isinstance(value, str) else value; print(value.hex())`;
  return keyBytes(execFileSync("python3", ["-c", program], { input: Buffer.from(held), encoding: "utf8" }).trim());
}
