import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeCrypto } from "@usmp/crypto";
import type { RefusalCause } from "@usmp/gateway";
import { FrameType, Secret, sealedLength, sealFrame } from "@usmp/protocol";
import { SeededRandom, UdpRelay } from "@usmp/testkit";
import { formatAddress } from "usmp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusalView } from "../../gateway/src/control/views.ts";
import { EVERY_CAUSE } from "../../gateway/test/support/causes.ts";
import { COMMAND_ERROR_CODES } from "../src/failure.ts";
import { LINE_COMMANDS } from "../src/line-command.ts";
import { commandsOf, createProgram, run } from "../src/program.ts";
import {
  begin,
  client,
  DEVICE,
  event,
  freeAddress,
  type Listening,
  library,
  OTHER_TEST_KEY,
  serve,
  TEST_KEY,
} from "./commands/running.ts";
import { framesOf, type RecordedSession, sessions } from "./inspect/vectors.ts";
import { SystemctlDouble } from "./service/systemctl-double.ts";
import { virtualEnvironment } from "./virtual-environment.ts";

const manual = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
/** The gateway's settings have a page of their own, which configuration/page.test.ts holds to their table. */
const configurationPage = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
const program = createProgram({ environment: virtualEnvironment(), perform: async () => {} });
/** Those that do something, and the program itself. */
const commands = commandsOf(program).filter(({ command }) => command === program || command.commands.length === 0);

/** Headings whose options belong to every command that links to them. */
const SHARED = ["Where to connect", "The gateway it speaks to", "Handing keys out", "Where the master secret is"];

/** The text under a heading, up to the next one of the same or a higher level. */
function section(heading: string): string {
  const level = heading.indexOf(" ");
  const from = manual.indexOf(`\n${heading}\n`);
  if (from === -1) return expect.unreachable(`docs/cli.md has no heading ${heading}`);
  const rest = manual.slice(from + heading.length + 1);
  const end = rest.search(new RegExp(`\\n#{1,${level}} `));
  return end === -1 ? rest : rest.slice(0, end);
}

/** First cells of the tables in a text, when they are code. */
function rows(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)`( \?)? \|/gm)].map(([, name, optional]) => `${name}${optional ?? ""}`);
}

test("each command is a word that the process's title may keep", () => {
  const start = readFileSync(new URL("../bin/usmp.mjs", import.meta.url), "utf8");
  const words = /\/\^\(([a-z|-]+)\)\$\//.exec(start)?.[1]?.split("|");
  expect(words).toEqual(program.commands.map((command) => command.name()).sort());
});

describe("options", () => {
  test.each(commands.map(({ command, words }) => [words, command] as const))(
    "%s has exactly the documented ones",
    (name, command) => {
      const text = section(`## ${name}`);
      const shared = SHARED.filter((heading) => text.includes(`(#${heading.toLowerCase().replaceAll(" ", "-")})`));
      const settings = text.includes("(configuration.md)") && name === "usmp gateway" ? [configurationPage] : [];
      const documented = [text, ...shared.map((heading) => section(`### ${heading}`)), ...settings]
        .flatMap(rows)
        .filter((row) => row.startsWith("--"));
      const version = command === program ? ["--help"] : [];
      expect(documented.sort()).toEqual([...command.options.map((option) => option.flags), ...version].sort());
    },
  );

  test("no command is documented that does not exist", () => {
    const headings = [...manual.matchAll(/^## (usmp.*)$/gm)].map(([, name]) => name);
    expect(headings.sort()).toEqual(commands.map(({ words }) => words).sort());
  });

  test("the lines of connect that are commands are the documented ones", () => {
    const documented = rows(section("## usmp connect")).filter((row) => row.startsWith("/"));
    expect(documented.sort()).toEqual([...LINE_COMMANDS.map((command) => `/${command}`), "//x"].sort());
  });
});

/** Fields that take more than this file does: a stalled reader (serve.test.ts), a damaged audit (the gateway's own tests). */
const UNSEEN: Readonly<Record<string, readonly string[]>> = {
  refused: ["omitted"],
  verdict: ["seq", "problem", "says"],
};

describe("JSON events", () => {
  /** Objects that the program printed, by event. */
  const samples = new Map<string, Record<string, unknown>[]>();
  let folder: string;

  const collect = (objects: readonly Record<string, unknown>[]): void => {
    for (const object of objects) {
      const name = String(object["event"]);
      samples.set(name, [...(samples.get(name) ?? []), object]);
    }
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "usmp-docs-"));
    await collectSamples(collect, folder);
  }, 60_000);
  afterAll(() => rm(folder, { recursive: true }));

  const documented = [...section("## JSON events").matchAll(/^### ([\w-]+)$/gm)].map(([, name]) => name as string);

  test("every documented event was seen, and every event that was seen is documented", () => {
    expect([...samples.keys()].sort()).toEqual([...documented].sort());
  });

  test.each(documented)("%s has exactly the documented fields", (name) => {
    const fields = rows(section(`### ${name}`)).filter((row) => !COMMAND_ERROR_CODES.some((code) => code === row));
    const required = fields.filter((field) => !field.endsWith("?"));
    const optional = fields.filter((field) => field.endsWith("?")).map((field) => field.slice(0, -2));
    const objects = samples.get(name) ?? [];
    for (const object of objects) {
      const keys = Object.keys(object).filter((key) => key !== "time" && key !== "event");
      expect(keys.filter((key) => !optional.includes(key)).sort()).toEqual([...required].sort());
      expect(object["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    const seen = new Set(objects.flatMap((object) => Object.keys(object)));
    expect(optional.filter((field) => !seen.has(field))).toEqual(UNSEEN[name] ?? []);
  });

  test("the command line's own error codes are the documented ones", () => {
    const documentedCodes = rows(section("### error")).filter((row) => row !== "code" && row !== "message");
    expect(documentedCodes.sort()).toEqual([...COMMAND_ERROR_CODES].sort());
  });

  test("lists inside a frame have exactly the documented members", () => {
    const text = section("### frame");
    const members = (list: string): string[] =>
      [
        ...(new RegExp(`^\\| \`${list}\` \\| (.*) \\|$`, "m").exec(text)?.[1] ?? "")
          .replaceAll(/\(.*?\)/g, "")
          .matchAll(/`(\w+)`/g),
      ].map(([, name]) => name as string);
    const [frame] = samples.get("frame") as [{ fields: object[]; checks: object[] }];
    expect(Object.keys(frame.fields[0] as object)).toEqual(members("fields"));
    expect(Object.keys(frame.checks[0] as object)).toEqual(members("checks"));
  });
});

/** Runs every command so that each event and optional field appears. */
async function collectSamples(
  collect: (objects: readonly Record<string, unknown>[]) => void,
  folder: string,
): Promise<void> {
  const server = await serve("--echo");
  collect((await client(["connect", server.tcp, "--json"], "text\n\u0000\n/ping\n/rekey\n/stats\n")).objects);
  collect((await client(["send", server.udp, "text", "--udp", "--wait", "1", "--json"])).objects);
  await client(["send", server.tcp, "x"], "", OTHER_TEST_KEY);
  await server.environment.stdout.line((line) => line.includes('"refused"'));
  await move(server);
  collect((await client(["connect", server.tcp, "--reconnect", "--json"], "text\n")).objects);
  server.environment.stop();
  await server.done;
  collect(server.environment.stdout.objects);

  const link = begin(["connect", await freeAddress(), "--reconnect", "--json", "--psk", TEST_KEY]);
  link.environment.stdin.write("lost\n");
  await link.environment.stdout.line((line) => line.includes('"waiting"'));
  link.environment.stop();
  await link.done;
  collect(link.environment.stdout.objects);

  const failing = begin(["send", await freeAddress(), "x", "--json", "--allow-weak", "--psk", TEST_KEY.slice(32)]);
  await failing.done;
  collect([...failing.environment.stdout.objects, ...failing.environment.stderr.objects]);

  const workers = await serve("--workers", "2");
  const { pid } = await event(workers, "worker");
  process.kill(Number(pid), "SIGKILL");
  await workers.environment.stdout.line((line) => line.includes('"ended"'));
  workers.environment.stop();
  await workers.done;
  collect(workers.environment.stdout.objects);

  await collectGatewaySamples(collect, join(folder, "data"), folder);

  const [session] = sessions as readonly [RecordedSession];
  const recording = framesOf(session).map(({ frame }) => frame);
  const keys = session.key_c2s + session.key_s2c;
  collect(await own(["inspect", recording.join(""), "--key", keys, "--json"]));
  collect(await own(["inspect", fragmentedText(session), "--key", keys, "--json"]));
  collect(await own(["keygen", "--json"]));
}

/** A device whose NAT takes another port. */
async function move(server: Listening): Promise<void> {
  const [host, port] = server.udp.split(":") as [string, string];
  const relay = await UdpRelay.start({ server: { host, port: Number(port) }, random: new SeededRandom(1) });
  const session = await library(formatAddress(relay.address), "udp");
  await session.send("at home");
  await relay.rebind();
  await session.send("away");
  await server.environment.stdout.line((line) => line.includes('"moved"') && line.includes('"proven":true'));
  await session.close();
  relay.close();
}

async function own(words: string[], variables: Record<string, string> = {}): Promise<Record<string, unknown>[]> {
  const environment = virtualEnvironment(variables);
  await run(words, environment);
  return environment.stdout.objects;
}

/** A gateway and everything that can be asked of it. */
async function collectGatewaySamples(
  collect: (objects: readonly Record<string, unknown>[]) => void,
  data: string,
  folder: string,
): Promise<void> {
  const passphrase = join(folder, "passphrase");
  await writeFile(passphrase, "six test words for a sealed backup\n");
  const variables = { USMP_PASSPHRASE_FILE: passphrase };
  const ask = async (...words: string[]): Promise<Record<string, unknown>[]> => {
    const objects = await own([...words, "--data", data, "--json"], variables);
    collect(objects);
    return objects;
  };
  const address = await freeAddress();
  const port = address.slice(address.indexOf(":") + 1);
  // On all interfaces, so that addresses are told; nothing but the loopback one is used.
  const gateway = begin([
    "gateway",
    "--data",
    data,
    "--tcp",
    `:${port}`,
    "--udp",
    "127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--dev",
    "--json",
  ]);
  await gateway.environment.stdout.line((line) => line.includes('"dev"') && line.includes('"notice"'));

  const [device] = await ask(
    "device",
    "add",
    DEVICE,
    "--name",
    "pump",
    "--snippet",
    "python",
    "--save-key",
    join(folder, "pump.key"),
  );
  const live = begin(["connect", address, "--device-id", DEVICE, "--psk", String(device?.["psk"]), "--json"]);
  await live.environment.stdout.line((line) => line.includes('"session"'));
  await ask("monitor", "--once");
  live.environment.stop();
  await live.done;
  await ask("device", "add", OTHER_DEVICE, "--nvs", join(folder, "nvs"));
  await ask("device", "rotate", OTHER_DEVICE);
  await ask("device", "rotate", "--all");
  await ask("device", "list");
  await ask("device", "send", OTHER_DEVICE, "text", "--ttl", "1h");
  await ask("device", "queue");
  await client(["send", address, "x", "--device-id", OTHER_DEVICE, "--json"]);
  await client(["send", address, "x", "--device-id", "02:00:00:00:00:99", "--json"]);
  await client(["send", address, "x", "--device-id", DEVICE, "--json"], "", String(device?.["psk"]));
  await gateway.environment.stdout.line((line) => line.includes('"closed"'));
  await ask("why");
  // Each cause has fields of its own; the gateway's tests bring every one about.
  collect(EVERY_CAUSE.map((cause) => ({ event: "refusal", ...refusalOf(cause) })));
  await ask("device", "seen");
  const systemctl = new SystemctlDouble(folder, data);
  collect(await own(["service", "status", "--user", "--json"], systemctl.variables));
  collect(await own(["service", "install", "--user", "--dry-run", "--json"], systemctl.variables));
  collect(await own(["gateway", "--print-config", "--data", data, "--json"]));
  await ask("factory-key", "2026-11");
  await ask("doctor");
  await ask("clock", "confirm");
  const [token] = await ask("token", "add", "panel", "--role", "viewer");
  await ask("token", "add", "saved", "--role", "operator", "--save-token", join(folder, "operator.token"));
  await ask("token", "list");
  await ask("token", "revoke", String(token?.["id"]));
  await ask("audit", "verify");
  await ask("audit", "export");
  await ask("backup", join(folder, "fleet.backup"));
  await ask("device", "delete", OTHER_DEVICE);
  await ask("master", "rotate");
  gateway.environment.stop();
  expect(await gateway.done).toBe(0);
  collect(gateway.environment.stdout.objects);
  await ask("restore", join(folder, "fleet.backup"), "--yes");
  // A host with no network has no address to tell.
  if (!gateway.environment.stdout.text.includes('"event":"address"')) {
    collect([{ time: "2026-01-02T03:04:05.678Z", event: "address", transport: "tcp", host: "192.0.2.1", port: 9000 }]);
  }
}

const OTHER_DEVICE = "02:00:00:00:00:02";

function refusalOf(cause: RefusalCause): Record<string, unknown> {
  const record = {
    firstAt: 0,
    lastAt: 0,
    count: 1,
    source: "192.0.2.1",
    peer: "192.0.2.1:4000",
    transport: "tcp",
  } as const;
  return JSON.parse(JSON.stringify(refusalView({ ...record, claimedId: DEVICE, cause }))) as Record<string, unknown>;
}

/** A text message in two frames, in hex: the recorded messages of that length are no text. */
function fragmentedText(session: RecordedSession): string {
  const secret = (digits: string): Secret => new Secret(Buffer.from(digits, "hex"));
  const sessionId = Buffer.from(session.session_id, "hex");
  const { transmit } = nodeCrypto.importTrafficKeys(
    "client",
    secret(session.key_c2s),
    secret(session.key_s2c),
    sessionId,
  );
  const parts = [FrameType.DATA_FRAG, FrameType.DATA].map((type, seq) => {
    const text = Buffer.from("text ");
    const frame = new Uint8Array(sealedLength(text.length));
    sealFrame(frame, transmit, sessionId, type, seq, text);
    return Buffer.from(frame).toString("hex");
  });
  return parts.join("");
}
