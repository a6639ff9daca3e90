import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createConnection, type Socket as NetSocket } from "node:net";
import { VirtualClock } from "@usmp/testkit";
import type { ListenOptions, Session, TransportName } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { otherTestPsk } from "../../../protocol/test/support/fixtures.ts";
import { RawClient, tampered } from "../../../protocol/test/support/raw-peer.ts";
import {
  DEVICE_ID,
  expectEcho,
  LOOPBACK,
  type LoopbackServer,
  open,
  serve,
  TEST_PSK,
  TRANSPORTS,
} from "../support/loopback.ts";
import { RawTcp } from "../support/raw-tcp.ts";
import { cookieHello, RawUdp } from "../support/raw-udp.ts";
import { ServerProcess } from "../support/server-process.ts";

const CROWD = 500;
/** Each is a descriptor here and one in the server's process; a process may have 20,000. */
const SILENT_SOCKETS = 5_000;
const HONEST_CONNECTS = 40;
const CONNECT_P99_MS = 1_000;
const SPOOFED_SOURCES = 100;
const SPOOFED_HELLOS = 20_000;

describe("a crowd behind one address", () => {
  test.each(TRANSPORTS)(
    `of ${CROWD} devices connects over %s, all of them, at a server that knows none of them`,
    async (transport) => {
      const listening = await serve();
      const sessions = await Promise.all(
        Array.from({ length: CROWD }, (_, i) =>
          open(listening.address(transport), { transport, deviceId: deviceOf(i) }),
        ),
      );
      await Promise.all(sessions.map((session) => session.ping()));
      expect(listening.server.statistics).toMatchObject({ sessionsOpen: CROWD, provenPairs: CROWD, refused: {} });
    },
    60_000,
  );

  test.each(TRANSPORTS)(
    "with a bad device, which tries a wrong key over %s as fast as it can: the good ones come in at once, known here or not",
    async (transport) => {
      const listening = await serve();
      const attack = attacking(8, () => wrongKey(listening, transport));
      for (const i of Array(HONEST_CONNECTS).keys()) {
        const started = performance.now();
        const session = await open(listening.address(transport), { transport, deviceId: deviceOf(i) });
        await session.ping();
        expect(performance.now() - started, `device ${i}`).toBeLessThan(CONNECT_P99_MS);
      }
      expect(await attack.stop()).toBeGreaterThan(HONEST_CONNECTS);
      expect(listening.server.statistics.refused["wrong-key"]).toBeGreaterThan(HONEST_CONNECTS);
    },
  );

  test("with one that uses a good device's id and stalls: the good one comes in, and keeps its session", async () => {
    const listening = await serve({ limits: { handshakes: 40, handshakesPerSource: 20 } });
    const first = await open(listening.address("tcp"));
    await expectEcho(first, await listening.accept());
    const attack = attacking(4, async () => {
      const raw = await RawTcp.connect(listening.address("tcp"));
      await raw.write(new RawClient().hello());
      await raw.frame();
    });
    for (let i = 0; i < 10; i++) {
      const session = await open(listening.address("tcp"));
      await expectEcho(session, await listening.accept());
    }
    expect(await attack.stop()).toBeGreaterThan(40);
  });
});

test(`${SILENT_SOCKETS.toLocaleString("en")} silent TCP sockets leave honest clients connecting in less than a second at p99, and are let go early`, async () => {
  const server = await ServerProcess.start();
  const { host, port } = server.address("tcp");
  const sockets: NetSocket[] = [];
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  const times: number[] = [];
  for (let i = 0; i < HONEST_CONNECTS; i++) {
    const more = Array.from({ length: SILENT_SOCKETS / HONEST_CONNECTS }, () =>
      createConnection({ host, port }).on("error", () => {}),
    );
    sockets.push(...more);
    await Promise.all(more.map((socket) => once(socket, "connect")));
    const started = performance.now();
    const session = await open({ host, port }, { deviceId: deviceOf(i) });
    await session.ping();
    times.push(performance.now() - started);
  }
  expect(Math.max(...times)).toBeLessThan(CONNECT_P99_MS);
  await expect.poll(async () => (await server.ask()).statistics.handshakesOpen, { timeout: 15_000 }).toBeLessThan(520);
  expect((await server.ask()).statistics.refused["evicted"]).toBeGreaterThan(SILENT_SOCKETS - 1_024);
}, 60_000);

test("a server that runs out of files keeps its sessions, and takes new ones when files are free", async () => {
  const server = await ServerProcess.start({}, 64);
  const { host, port } = server.address("tcp");
  const session = await open({ host, port });
  await expectAnswer(session, "before");
  const crowd = Array.from({ length: 200 }, () => createConnection({ host, port }).on("error", () => {}));
  await Promise.all(crowd.map((socket) => once(socket, "connect")));
  await expectAnswer(session, "while it has no file left");
  const overUdp = await open(server.address("udp"), { transport: "udp", deviceId: deviceOf(1) });
  await expectAnswer(overUdp, "over UDP, which needs none");
  for (const socket of crowd) socket.destroy();
  await expect.poll(async () => (await server.ask()).statistics.handshakesOpen, { timeout: 10_000 }).toBe(0);
  const next = await open({ host, port }, { deviceId: deviceOf(2) });
  await expectAnswer(next, "after");
  await expectAnswer(session, "still");
});

describe("HELLOs with forged sources", () => {
  test(`${SPOOFED_HELLOS.toLocaleString("en")} from ${SPOOFED_SOURCES} addresses get at most 1.6 times their bytes, leave nothing behind, and a real client connects among them`, async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock, udp: "127.0.0.1:0" });
    const sources = await Promise.all(Array.from({ length: SPOOFED_SOURCES }, (_, i) => source(`127.1.${i}.1`)));
    const { port } = listening.address("udp");
    const honest: Session[] = [];
    for (let sent = 0; sent < SPOOFED_HELLOS; sent += SPOOFED_SOURCES) {
      await Promise.all(sources.map((each) => each.send(new RawClient({ deviceId: randomBytes(6) }).hello(), port)));
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(10);
      if (sent % 2_000 === 0) {
        const session = open(listening.address("udp"), { transport: "udp", deviceId: deviceOf(sent) });
        honest.push(await session);
      }
    }
    clock.advance(60_000);
    // What the server sent last has arrived when its answer to a client that comes after has.
    await open(listening.address("udp"), { transport: "udp" });
    for (const { sentBytes, receivedBytes } of sources) expect(receivedBytes()).toBeLessThanOrEqual(1.6 * sentBytes());
    expect(honest).toHaveLength(SPOOFED_HELLOS / 2_000);
    expect(listening.server.statistics).toMatchObject({ handshakesOpen: 0, refused: {} });
  }, 120_000);

  test("at a device's own address do not keep it out, known here or not", async () => {
    const listening = await serve();
    const { port } = listening.address("udp");
    const spoofer = await source(LOOPBACK);
    const attack = attacking(4, () => spoofer.send(new RawClient({ deviceId: randomBytes(6) }).hello(), port));
    for (let i = 0; i < 10; i++) {
      const session = await open(listening.address("udp"), {
        transport: "udp",
        deviceId: deviceOf(i),
        handshakeTimeoutMs: 5_000,
      });
      await session.ping();
    }
    expect(await attack.stop()).toBeGreaterThan(100);
  });
});

describe("what counts against nobody", () => {
  test.each(TRANSPORTS)(
    "the application's own look-up that never answers, over %s: its device's attempts end as lookup-timeout, all others come in",
    async (transport) => {
      const clock = new VirtualClock();
      const psk: ListenOptions["psk"] = (deviceId) => (deviceId === DEVICE_ID ? new Promise(() => {}) : TEST_PSK);
      const listening = await serve({ clock, psk });
      const slow = [1, 2, 3].map(() => open(listening.address(transport), { transport }));
      const outcomes = Promise.allSettled(slow);
      await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(3);
      const other = await open(listening.address(transport), { transport, deviceId: deviceOf(1) });
      await expectEcho(other, await listening.accept());
      clock.advance(10_000);
      expect(listening.server.statistics.refused).toEqual({ "lookup-timeout": 3 });
      expect(listening.refusals[0]?.reason).toEqual({ code: "handshake-timeout", awaiting: "keys" });
      for (const session of listening.server.sessions) session.abort();
      if (transport === "tcp") expect((await outcomes).map(({ status }) => status)).toEqual(Array(3).fill("rejected"));
    },
    30_000,
  );

  test("a thousand wrong keys, to the device whose key they are not", async () => {
    const listening = await serve();
    for (let i = 0; i < 1_000; i += 20) await Promise.all(Array.from({ length: 20 }, () => wrongKey(listening, "tcp")));
    const session = await open(listening.address("tcp"));
    await expectEcho(session, await listening.accept());
    expect(listening.server.statistics.refused["wrong-key"]).toBe(1_000);
  });

  test("wrong proofs that somebody sends from a client's own address and port, while it shakes hands", async () => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    await raw.send(await cookieHello(raw, client));
    const helloAck = client.answer(await raw.expectFrame("CHALLENGE"));
    for (let i = 0; i < 500; i++) await raw.send(tampered(helloAck, 12 + (i % 32), 1 + (i % 255)));
    await raw.send(helloAck);
    client.finish(await raw.expectFrame("SESSION_OK"));
  });
});

describe("a flood of refusals", () => {
  test("is counted whole and told in part, so that it cannot drown the application", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock, limits: { reportedRefusalsPerSecond: 5 } });
    for (let i = 0; i < 30; i++) await wrongKey(listening, "tcp");
    expect(listening.refusals).toHaveLength(5);
    expect(listening.server.statistics).toMatchObject({ refused: { "wrong-key": 30 }, refusalsUnreported: 25 });
    clock.advance(1_000);
    await wrongKey(listening, "tcp");
    expect(listening.refusals).toHaveLength(6);
  });

  test("of one device id, faster than a stranger may, is turned away before anything is spent, and told why", async () => {
    const limits = { newcomersPerSecond: 4, newcomersPerSourceBurst: 1, newcomersPerSourcePerSecond: 1 };
    const listening = await serve({ clock: new VirtualClock(), limits });
    for (let i = 0; i < 5; i++) await wrongKey(listening, "tcp");
    expect(listening.server.statistics.refused).toEqual({ "wrong-key": 3, "rate-limited": 2 });
    expect(listening.refusals.at(-1)).toMatchObject({ claimedDeviceId: DEVICE_ID, reason: { code: "rate-limited" } });
    const raw = await RawUdp.open(listening.address("udp"));
    await raw.send(await cookieHello(raw, new RawClient()));
    await expect.poll(() => listening.server.statistics.dropped).toEqual({ "rate-limited": 1 });
    expect(listening.refusals.at(-1)).toMatchObject({ peer: { transport: "udp" }, reason: { code: "rate-limited" } });
    const good = await open(listening.address("tcp"), { deviceId: deviceOf(1) });
    await expectEcho(good, await listening.accept());
    expect(await wrongKey(listening, "tcp"), "where a device proved itself nobody is turned away").toBe("refused");
    expect(listening.server.statistics.refused["wrong-key"]).toBe(4);
  });
});

test.each([
  ["another version", (hello: Uint8Array) => tampered(hello, 2, 0x01)],
  ["another protocol", () => Buffer.from("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")],
  ["a bad CRC", (hello: Uint8Array) => hello.map((byte, at) => (at === 10 ? byte ^ 1 : byte))],
])("a TCP peer that speaks %s is let go at once", async (_, damage) => {
  const listening = await serve({ clock: new VirtualClock() });
  const raw = await RawTcp.connect(listening.address("tcp"));
  await raw.write(damage(new RawClient().hello()));
  await raw.ended;
  expect(listening.server.statistics.handshakesOpen).toBe(0);
});

test("failed TCP handshakes whose peers do not end their side hold no more descriptors than handshakes may", async () => {
  const server = await ServerProcess.start({ limits: { handshakes: 20 } });
  const { host, port } = server.address("tcp");
  const sockets = Array.from({ length: 400 }, () => {
    const socket = createConnection({ host, port, allowHalfOpen: true }).on("error", () => {});
    socket.write("no frame at all, but long enough for a header");
    return socket;
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  // Some give way before their bytes have been read.
  const refused = async () =>
    Object.values((await server.ask()).statistics.refused).reduce((sum, count) => sum + count, 0);
  await expect.poll(refused, { timeout: 10_000 }).toBe(400);
  const { resources } = await server.ask();
  expect(resources).toBeLessThan(60);
}, 30_000);

function deviceOf(number: number): Uint8Array {
  return Uint8Array.from([2, 0, 0, number >> 16, number >> 8, number]);
}

async function expectAnswer(session: Session, text: string): Promise<void> {
  await session.send(text);
  expect(Buffer.from((await session.receive()) ?? []).toString()).toBe(text);
}

/** One handshake with a wrong key. Over UDP nobody says no: it ends with its proof. */
async function wrongKey(listening: LoopbackServer, transport: TransportName): Promise<"refused" | "sent"> {
  const liar = new RawClient({ psk: otherTestPsk() });
  if (transport === "udp") {
    const raw = await RawUdp.open(listening.address("udp"));
    await raw.send(await cookieHello(raw, liar));
    await raw.send(liar.answer(await raw.expectFrame("CHALLENGE")));
    raw.close();
    return "sent";
  }
  const raw = await RawTcp.connect(listening.address("tcp"));
  await raw.write(liar.hello());
  const challenge = await raw.frame();
  if (challenge !== undefined) await raw.write(liar.answer(challenge));
  await raw.ended;
  return "refused";
}

/** Does something in `width` loops at once until it is stopped; answers how often it was done. */
function attacking(width: number, once: () => Promise<unknown>): { stop(): Promise<number> } {
  let going = true;
  let count = 0;
  const loops = Array.from({ length: width }, async () => {
    while (going) {
      await Promise.race([once().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 200))]);
      // What is done at once must not keep the others' turn from coming.
      await new Promise((resolve) => setImmediate(resolve));
      count++;
    }
  });
  return {
    async stop() {
      going = false;
      await Promise.all(loops);
      return count;
    },
  };
}

interface Source {
  send(datagram: Uint8Array, port: number): Promise<void>;
  sentBytes(): number;
  receivedBytes(): number;
}

/** A socket at any address of 127.0.0.0/8: all of it is this machine. */
async function source(address: string): Promise<Source> {
  const socket: Socket = createSocket("udp4");
  let [sent, received] = [0, 0];
  socket.on("message", ({ length }) => {
    received += length;
  });
  socket.bind(0, address);
  await once(socket, "listening");
  onTestFinished(() => void socket.close());
  return {
    send: (datagram, port) =>
      new Promise((resolve) => {
        sent += datagram.length;
        socket.send(datagram, port, LOOPBACK, () => resolve());
      }),
    sentBytes: () => sent,
    receivedBytes: () => received,
  };
}
