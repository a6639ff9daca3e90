import { once } from "node:events";
import { connect as openTcp, type Socket } from "node:net";
import type { Session } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { GatewayProcess } from "./gateway-process.ts";

/** The gateway process in trouble: threats page, cases 32, 37 (the second signal) and 39. Case 33 is `npm run long -- stress`. */

/** `npm run long -- gateway` stops it for ten minutes: longer than a peer may be silent. */
const STOPPED_MS = Number(process.env["USMP_SUSPEND_MS"] ?? 8_000);
/** After it goes on; a gateway ends sessions that are silent for 60 s. */
const WATCHED_MS = process.env["USMP_SUSPEND_MS"] === undefined ? 2_000 : 65_000;

/** Node opens over two hundred modules at once while it starts. */
const FILES = 500;

async function echo(session: Session): Promise<void> {
  await session.send("still there?");
  await session.receive();
}

async function devices(gateway: GatewayProcess, count: number, options: object = {}): Promise<Session[]> {
  const sessions: Session[] = [];
  onTestFinished(() => {
    for (const session of sessions) session.abort();
  });
  for (const [i, device] of (await gateway.must(["device", "add", "--count", String(count)])).entries()) {
    const { id, psk } = device as { id: string; psk: string };
    sessions.push(await gateway.connect({ id, psk }, i % 2 === 0 ? "tcp" : "udp", options));
  }
  return sessions;
}

describe.runIf(process.platform !== "win32")("out of descriptors", () => {
  test("sessions live on, commands are answered again, and new connections are taken as soon as there is room", async () => {
    const gateway = await GatewayProcess.start(undefined, ["--echo"], {}, FILES);
    const sessions = await devices(gateway, 4);
    const spare = await gateway.enrol();
    const { host, port } = await gateway.address("tcp");
    const strangers = await Promise.all(Array.from({ length: FILES + 50 }, () => opened(host, port)));
    onTestFinished(() => {
      for (const stranger of strangers) stranger.destroy();
    });
    // The kernel takes connections for a while even where the process cannot.
    await expect(gateway.connect(spare, "tcp", { handshakeTimeoutMs: 2_000 })).rejects.toThrow();
    await Promise.all(sessions.map(echo));
    // UDP needs no descriptor of its own.
    const overUdp = await gateway.connect(spare, "udp");
    await echo(overUdp);
    for (const stranger of strangers) stranger.destroy();
    await expect.poll(async () => (await gateway.run(["device", "list"])).code).toBe(0);
    const late = await gateway.connect(spare, "tcp");
    await echo(late);
    await Promise.all(sessions.map(echo));
    await late.close();
    expect(gateway.child.stderr.text).toBe("");
    await gateway.stop();
    expect(await gateway.child.exit).toEqual({ code: 0, signal: null });
  });
});

test.runIf(process.platform !== "win32")(
  `stopped for ${STOPPED_MS / 1_000} s and gone on: no session ends, nothing bursts, the clock is believed`,
  { timeout: STOPPED_MS + WATCHED_MS + 60_000 },
  async () => {
    const gateway = await GatewayProcess.start(undefined, ["--echo"]);
    // The peers wait; of their PINGs a few lie in the kernel meanwhile.
    const patience = { keepaliveMs: STOPPED_MS / 4, idleTimeoutMs: STOPPED_MS + 120_000 };
    const sessions = await devices(gateway, 40, patience);
    await Promise.all(sessions.map(echo));
    const before = sessions.map(({ statistics }) => statistics.framesReceived);
    gateway.child.process.kill("SIGSTOP");
    await passes(STOPPED_MS);
    gateway.child.process.kill("SIGCONT");
    await passes(WATCHED_MS);
    await Promise.all(sessions.map(echo));
    expect(gateway.child.stdout.text).not.toContain('"event":"closed"');
    const gained = sessions.map(({ statistics }, i) => statistics.framesReceived - (before[i] as number));
    expect(Math.max(...gained)).toBeLessThanOrEqual(60);
    const listed = await gateway.must(["device", "list"]);
    expect(listed.filter(({ online }) => online)).toHaveLength(40);
    await gateway.stop();
  },
);

test("a second signal ends it at once, whoever has yet to acknowledge a BYE", async () => {
  const gateway = await GatewayProcess.start();
  const [, overUdp] = await devices(gateway, 2);
  // Its UTACK for the BYE never comes, and the gateway waits for it a second.
  (overUdp as Session).abort();
  gateway.child.process.kill("SIGTERM");
  await passes(150);
  expect(gateway.child.process.exitCode).toBeNull();
  const asked = performance.now();
  gateway.child.process.kill("SIGINT");
  expect(await gateway.child.exit).toEqual({ code: 1, signal: null });
  expect(performance.now() - asked).toBeLessThan(500);
});

async function opened(host: string, port: number): Promise<Socket> {
  const socket = openTcp(port, host);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Real time: a process that is stopped knows no other. */
function passes(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
