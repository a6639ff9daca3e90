import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRandom, UdpRelay } from "@usmp/testkit";
import { connect, Secret } from "usmp";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { run } from "../../src/program.ts";
import { virtualEnvironment } from "../virtual-environment.ts";
import { begin } from "./running.ts";

const ID = "02:00:00:00:00:01";

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "usmp-monitor-"));
});
afterEach(() => rmSync(data, { recursive: true }));

async function gateway(...words: string[]) {
  const running = begin(["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", ...words]);
  onTestFinished(async () => {
    running.environment.stop();
    await running.done;
  });
  const line = await running.environment.stdout.line((text) => /listening.*udp/.test(text));
  return { ...running, port: Number(/(\d+)\D*$/.exec(line)?.[1]) };
}

async function ask(...words: string[]) {
  const environment = virtualEnvironment();
  const code = await run([...words, "--data", data], environment);
  return { code, environment };
}

async function device(port: number) {
  const added = await ask("device", "add", ID, "--name", "pump", "--json");
  const [line] = added.environment.stdout.objects as [{ psk: string }];
  const psk = new Secret(Buffer.from(line.psk, "hex"));
  const session = await connect({ host: "127.0.0.1", port, transport: "udp", deviceId: ID, psk });
  onTestFinished(() => session.abort());
  await session.send("hello");
  return session;
}

test("--once prints a table, --json an object for each session", async () => {
  const { port } = await gateway("--json");
  expect((await ask("monitor", "--once", "--json")).environment.stdout.objects).toEqual([]);
  const session = await device(port);
  const { code, environment } = await ask("monitor", "--once");
  expect(code).toBe(0);
  expect(environment.stdout.lines[2]).toMatch(/^device +address +by +key +seen +rate +rtt +loss +name$/);
  expect(environment.stdout.lines[3]).toMatch(/^02:00:00:00:00:01 {2}127\.0\.0\.1:\d+ +udp +1 +\S+ .*pump$/);
  const [object] = (await ask("monitor", "--once", "--json")).environment.stdout.objects;
  expect(object).toMatchObject({ event: "live", device: ID, name: "pump", session: session.sessionId, messagesIn: 1 });
});

test("without --once it goes on until it is interrupted, and that is no failure", async () => {
  await gateway("--json");
  const monitor = begin(["monitor", "--data", data, "--interval", "1s"]);
  const titles = () => monitor.environment.stdout.lines.filter((line) => line.includes("0 sessions"));
  await expect.poll(() => titles().length).toBeGreaterThan(1);
  monitor.environment.stop();
  expect(await monitor.done).toBe(0);
  expect(monitor.environment.stderr.text).toBe("");
});

test("the gateway's end ends it, with an error", async () => {
  const running = await gateway("--json");
  const monitor = begin(["monitor", "--data", data, "--interval", "1s"]);
  await monitor.environment.stdout.line((line) => line.includes("0 sessions"));
  running.environment.stop();
  await running.done;
  expect(await monitor.done).toBe(1);
  expect(monitor.environment.stderr.text).toContain("control");
});

test("a wrong interval is refused", async () => {
  const { code, environment } = await ask("monitor", "--interval", "often");
  expect([code, environment.stderr.text]).toEqual([2, expect.stringContaining('--interval "often": not a time')]);
});

test("usmp gateway prints sessions that move", async () => {
  const { port, environment } = await gateway("--json");
  const relay = await UdpRelay.start({ server: { host: "127.0.0.1", port }, random: new SeededRandom(1) });
  onTestFinished(() => relay.close());
  const session = await device(relay.address.port);
  await relay.rebind();
  await session.send("away");
  const line = await environment.stdout.line((text) => text.includes('"moved"') && text.includes('"proven":true'));
  expect(JSON.parse(line)).toMatchObject({ event: "moved", device: ID, session: session.sessionId });
  await environment.stdout.line((text) => text.includes('"moved"') && text.includes('"proven":false'));
});
