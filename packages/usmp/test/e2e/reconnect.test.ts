import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SeededRandom, TcpRelay, UdpRelay } from "@usmp/testkit";
import { connect, type Link, type LinkState, type ReconnectOptions, type TransportName } from "usmp";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { bundleChild } from "../../../crypto/test/memory/bundle-child.ts";
import { DEVICE_ID, LOOPBACK, type LoopbackServer, serve, TEST_PSK, TRANSPORTS, textOf } from "../support/loopback.ts";

/** Seconds of the defaults in milliseconds, as far as a busy machine allows. */
const QUICK: ReconnectOptions = { backoff: { initialMs: 200, maxMs: 400 }, deadAfterMs: 2_000, wake: false };

describe.each(TRANSPORTS)("a link over %s, with real sockets,", (transport) => {
  test("outlives its server: messages wait, arrive in order, and are marked", async () => {
    const first = await serve();
    const { port } = first.address(transport);
    const link = await open(transport, port);
    const before = link.send("before");
    expect(textOf(await (await first.accept()).receive())).toBe("before");
    expect((await before.outcome).fate).toBe("delivered");
    await first.server.close();
    const between = ["one", "two", "three"].map((text) => link.send(text));
    await stateOf(link, "waiting");
    await delay(500);
    const second = await serve({ [transport]: `${LOOPBACK}:${port}` });
    const session = await second.accept();
    for (const text of ["one", "two", "three"]) expect(textOf(await session.receive())).toBe(text);
    const fates = await Promise.all(between.map(({ outcome }) => outcome));
    expect(fates.map(({ fate }) => fate)).toEqual(["delivered", "delivered", "delivered"]);
    await session.send("welcome back");
    expect(textOf(await link.receive())).toBe("welcome back");
    expect(session.deviceId).toBe(DEVICE_ID);
    expect(link.statistics).toMatchObject({ sessions: 2, ends: { "closed-by-peer": 1 } });
    await link.close();
    expect(await session.closed).toEqual({ code: "closed-by-peer" });
  });

  test("finds out soon that its peer is gone without a word: half open, or a host that lost its memory", async () => {
    const listening = await serve();
    let silent = false;
    const port = await relayedPort(transport, listening, () => silent);
    const link = await open(transport, port, { deadAfterMs: 1_000 });
    const session = await listening.accept();
    await link.connected();
    silent = true;
    const sent = performance.now();
    const lost = link.send("into the void");
    const fate = await lost.outcome;
    expect(fate).toMatchObject({ fate: "unknown", error: { reason: { code: "peer-silent" } } });
    expect(performance.now() - sent).toBeLessThan(4_000);
    silent = false;
    const next = await listening.accept();
    expect(next).not.toBe(session);
    link.send("found");
    expect(textOf(await next.receive())).toBe("found");
  });
});

describe("a process that is stopped for seconds and goes on", () => {
  let directory: string;
  let program: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "usmp-stopped-"));
    program = await bundleChild(new URL("./stopped-client.ts", import.meta.url), directory);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test("keeps its session, over TCP and UDP: what came meanwhile is read before the peer's silence is judged", async () => {
    await Promise.all(TRANSPORTS.map(stopAndGoOn));
  });

  async function stopAndGoOn(transport: TransportName): Promise<void> {
    // The server goes on asking, and has patience. Eight PINGs that are read in one second would be a flood.
    const listening = await serve({ keepaliveMs: 2_000, idleTimeoutMs: 60_000 });
    const child = fork(program, [transport, String(listening.address(transport).port)]);
    onTestFinished(() => void child.kill("SIGKILL"));
    const session = await listening.accept();
    await messageFrom(child, "connected");
    child.kill("SIGSTOP");
    await delay(10_000);
    child.kill("SIGCONT");
    // Longer than all of its limits together: whoever took the ten seconds for silence has ended the session by now.
    await delay(4_000);
    child.send("report");
    expect(await messageFrom(child, "report")).toEqual({ event: "report", sessions: 1, ends: {}, open: true });
    expect(session.statistics.dropped).toEqual({});
    await once(child, "exit");
  }
});

test("a link keeps its process alive while it waits, when nothing else does, and lets it end when it is closed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "usmp-waiting-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const program = await bundleChild(new URL("./stopped-client.ts", import.meta.url), directory);
  const former = await serve();
  const { port } = former.address("tcp");
  await former.server.close();
  const child = fork(program, ["tcp", String(port)]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await messageFrom(child, "begun");
  child.disconnect();
  await delay(3_000);
  expect(child.exitCode).toBeNull();
  const latter = await serve({ tcp: `${LOOPBACK}:${port}` });
  const session = await latter.accept();
  await session.send("end");
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
});

async function open(
  transport: TransportName,
  port: number,
  reconnect: ReconnectOptions = {},
  handshakeTimeoutMs = 2_000,
): Promise<Link> {
  const link = await connect({
    host: LOOPBACK,
    port,
    transport,
    psk: TEST_PSK,
    deviceId: DEVICE_ID,
    handshakeTimeoutMs,
    reconnect: { ...QUICK, ...reconnect },
  });
  onTestFinished(() => link.abort());
  return link;
}

/** A way to the server on which everything is swallowed while `silent` says so. */
async function relayedPort(transport: TransportName, to: LoopbackServer, silent: () => boolean): Promise<number> {
  if (transport === "tcp") {
    const relay = await TcpRelay.start({ server: to.address("tcp"), rewrite: () => (silent() ? [] : undefined) });
    onTestFinished(() => relay.close());
    return relay.address.port;
  }
  const server = to.address("udp");
  const decide = () => (silent() ? "drop" : undefined);
  const relay = await UdpRelay.start({ server, random: new SeededRandom(1), decide });
  onTestFinished(() => relay.close());
  return relay.address.port;
}

async function stateOf<N extends LinkState["name"]>(link: Link, name: N): Promise<LinkState & { readonly name: N }> {
  for await (const state of link.states()) if (state.name === name) return state as LinkState & { readonly name: N };
  throw new Error(`the link ended without being ${name}`);
}

/** The next message of that name. */
async function messageFrom(child: ChildProcess, event: string): Promise<unknown> {
  for (;;) {
    const [message] = (await once(child, "message")) as [{ readonly event: string }];
    if (message.event === event) return message;
  }
}
