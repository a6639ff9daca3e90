import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";
import { begin, client, type Running } from "./running.ts";

const ID = "02:00:00:00:00:01";
const LOOPBACK = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

let folder: string;
let data: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "usmp-gateway-"));
  data = join(folder, "data");
});
const running: Running[] = [];
afterEach(async () => {
  for (const { environment, done } of running.splice(0)) {
    environment.stop();
    await done;
  }
  rmSync(folder, { recursive: true });
});

function gateway(...words: string[]): Running {
  const started = begin(["gateway", "--data", data, ...words]);
  running.push(started);
  return started;
}

/** A gateway that is open, and where it listens on TCP. */
async function open(...words: string[]): Promise<Running & { readonly tcp: string }> {
  const started = gateway(...LOOPBACK, "--json", ...words);
  const line = started.environment.stdout.line((text) => text.includes('"listening"') && text.includes('"tcp"'));
  const failed = started.done.then((code) =>
    Promise.reject(new Error(`ended with ${code}: ${started.environment.stderr.text}`)),
  );
  const { host, port } = JSON.parse(await Promise.race([line, failed])) as { host: string; port: number };
  await started.environment.stdout.line((text) => text.includes('"listening"') && text.includes('"udp"'));
  return { ...started, tcp: `${host}:${port}` };
}

async function ask(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const environment = virtualEnvironment();
  const code = await run([...words, "--data", data], environment);
  return { code, out: environment.stdout.text, err: environment.stderr.text };
}

describe("the first run", () => {
  test("makes a directory that is its owner's alone, and says what it did, where devices connect and what to do next", async () => {
    const { environment, done } = gateway("--tcp", ":0", "--udp", "127.0.0.1:0");
    await environment.stdout.line((line) => line.includes("usmp why"));
    const text = environment.stdout.text;
    expect(text).toContain(`gateway    ${data} (new), 0 devices\n`);
    expect(text).toMatch(/^listening {2}tcp \[::\]:\d+$/m);
    expect(text).not.toMatch(/^address +udp/m);
    expect(text).toContain("notice     master: the master secret");
    expect(text).toContain(`--name "my first device" --save-key first-device.key --data ${data}\n`);
    expect(text).toMatch(/^ {2}npx usmp connect 127\.0\.0\.1:\d+ --device-id \S+ --psk-file first-device\.key$/m);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    for (const name of ["master", "usmp.db", "control.token"])
      expect(statSync(join(data, name)).mode & 0o777).toBe(0o600);
    environment.stop();
    expect(await done).toBe(0);
    expect(readdirSync(data)).not.toContain("control.sock");
  });

  test("is told apart from later ones", async () => {
    const first = await open();
    first.environment.stop();
    await first.done;
    const second = await open();
    expect(first.environment.stdout.objects[0]).toMatchObject({ event: "gateway", created: true, devices: 0 });
    expect(second.environment.stdout.objects[0]).toMatchObject({ event: "gateway", created: false });
    expect(second.environment.stdout.text).not.toContain('"topic":"master"');
  });
});

describe("what keeps a gateway from starting", () => {
  test.runIf(process.platform === "linux").each(["tcp", "udp"])(
    "a %s port that is taken, with the process that has it and the option",
    async (transport) => {
      const { tcp, environment } = await open();
      const udp = environment.stdout.objects.find(
        (each) => each["event"] === "listening" && each["transport"] === "udp",
      );
      const taken = transport === "tcp" ? tcp : `127.0.0.1:${String(udp?.["port"])}`;
      const other = begin(["gateway", "--data", join(folder, "other"), `--${transport}`, taken]);
      expect(await other.done).toBe(1);
      expect(other.environment.stderr.text).toMatch(
        new RegExp(
          `^usmp: cannot-listen: .*${transport.toUpperCase()}.*\\(pid ${process.pid}\\) has it; --${transport} HOST:PORT chooses another`,
        ),
      );
    },
  );

  test("another gateway on the same data", async () => {
    await open();
    const second = gateway(...LOOPBACK);
    expect(await second.done).toBe(1);
    expect(second.environment.stderr.text).toContain(
      `already-running: a gateway runs on ${data} already (pid ${process.pid})`,
    );
  });

  test("a directory with something else in it that others may look into", async () => {
    const shared = join(folder, "shared");
    const environment = virtualEnvironment();
    mkdirSync(shared, { mode: 0o755 });
    writeFileSync(join(shared, "photo.jpg"), "");
    expect(await run(["gateway", "--data", shared, ...LOOPBACK], environment)).toBe(2);
    expect(environment.stderr.text).toContain(`chmod 700 ${shared}`);
    expect(readdirSync(shared)).toEqual(["photo.jpg"]);
  });
});

describe("commands", () => {
  test.each([["device", "list"], ["device", "add"], ["why"]])(
    "without a gateway say how to start one: usmp %s %s",
    async (...words) => {
      expect(await ask(...words)).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringContaining('start one with "usmp gateway"'),
      });
    },
  );

  test("show devices to people: who is online, which key each uses, and when a grace ends", async () => {
    const { tcp } = await open();
    await ask("device", "add", ID, "--name", "pump", "--tag", "garden");
    expect((await ask("device", "list")).out).toMatch(
      /^02:00:00:00:00:01 {2}active +- +1 \(unused\) +never +pump #garden$/m,
    );
    await ask("device", "rotate", ID, "--grace", "2h");
    const shown = (await ask("device", "show", ID)).out;
    expect(shown).toMatch(/^state +rotating$/m);
    expect(shown).toMatch(
      /^old key +generation 1, good until the new one is proven or 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$/m,
    );
    expect((await ask("device", "rotate", ID)).err).toContain("rotation-open");
    await client(["send", tcp, "x", "--device-id", ID]);
    const why = (await ask("why", ID)).out;
    expect(why.split("\n")[0]).toBe(`wrong-key: ${ID} does not hold its key`);
    expect(why).toContain(`  fix: usmp device rotate ${ID} --replace --data ${data}\n`);
    expect((await ask("device", "tag", ID, "water", "garden-")).out).toMatch(/^tags +water$/m);
    expect((await ask("device", "tag", ID, "water", "water-")).code).toBe(2);
    expect((await ask("device", "rename", ID)).out).toMatch(/^name +-$/m);
    expect((await ask("device", "delete", ID)).out).toBe(`${ID} is deleted; keys up to generation 2 stay dead\n`);
    expect((await ask("device", "show", ID)).err).toContain(`unknown-device: no device ${ID}`);
  });

  test("refuse ids, names and tags that are none, with exit code 2", async () => {
    await open();
    for (const words of [
      ["device", "show", "02:00"],
      ["device", "add", "--name", "bell\u0007"],
      ["device", "add", "--tag", "two words"],
      ["device", "tag", ID, "#garden"],
    ]) {
      expect(await ask(...words)).toMatchObject({ code: 2, out: "" });
    }
  });

  test("take a key that was brought along, unless it is weak or published", async () => {
    const { tcp } = await open();
    const keyFile = (text: string): string => {
      const path = join(folder, "brought.key");
      writeFileSync(path, `${text}\n`);
      return path;
    };
    const strong = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";
    const add = (key: string, ...more: string[]) => ask("device", "add", ID, "--key-file", keyFile(key), ...more);
    expect((await add("our garage door opener has a secret")).err).toContain("--allow-weak");
    expect((await add("usmp-dev-psk-change-me-before-prod", "--allow-weak")).code).toBe(2);
    expect((await add("your-generated-psk-here", "--allow-weak")).code).toBe(2);
    expect((await add(strong)).code).toBe(0);
    expect((await client(["send", tcp, "x", "--device-id", ID], "", strong)).code).toBe(0);
    await ask("device", "delete", ID);
    expect((await add("our garage door opener has a secret", "--allow-weak")).code).toBe(0);
  });

  test("say on standard error that the gateway is in development mode, and so does its log", async () => {
    const { environment } = await open("--dev");
    expect(await environment.stdout.line((line) => line.includes('"topic":"dev"'))).toContain("development mode is on");
    for (const words of [["device", "list"], ["why"], ["device", "add", ID], ["device", "seen"]]) {
      expect((await ask(...words)).err).toMatch(/^notice +dev: this gateway is in development mode/);
      expect((await ask("device", "list", "--json")).out).not.toContain("notice");
    }
  });
});

test("each message is told with its device, name and key, and sent back with --echo", async () => {
  const { tcp, environment } = await open("--echo");
  const { out } = await ask("device", "add", ID, "--name", "pump", "--json");
  const { psk } = JSON.parse(out) as { psk: string };
  expect(await client(["send", tcp, "hello", "--device-id", ID, "--wait", "1"], "", psk)).toMatchObject({
    code: 0,
    out: "hello\n",
  });
  const session = await environment.stdout.line((line) => line.includes('"session"'));
  expect(JSON.parse(session)).toMatchObject({ event: "session", device: ID, generation: 1, name: "pump" });
  expect(await environment.stdout.line((line) => line.includes('"event":"message"'))).toContain('"text":"hello"');
  const closed = await environment.stdout.line((line) => line.includes('"closed"'));
  expect(JSON.parse(closed)).toMatchObject({ reason: "closed-by-peer" });
});

test("a flood of attempts that are alike fills no log", async () => {
  const { tcp, environment } = await open();
  const port = Number(tcp.split(":")[1]);
  for (let attempt = 0; attempt < 40; attempt++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.end("GET / HTTP/1.1\r\n\r\n");
    await new Promise((closed) => socket.on("close", closed));
  }
  await environment.stdout.line((line) => line.includes("(10 times)"));
  const told = environment.stdout.objects.filter((each) => each["event"] === "refused");
  expect(told.length).toBeLessThanOrEqual(3);
  expect((await ask("why", "--json")).out).toMatch(/"count":40/);
});
