import { connect, parseDeviceId, type Session, type TransportName } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { otherTestPsk } from "../../../protocol/test/support/fixtures.ts";
import { RawClient } from "../../../protocol/test/support/raw-peer.ts";
import { TEST_PSK } from "../support/loopback.ts";
import { RawTcp } from "../support/raw-tcp.ts";
import { ServerProcess, UNKNOWN_DEVICE_ID } from "../support/server-process.ts";

/** `npm run long:server` takes what is asked for; the normal run looks at the same things for a moment. */
const CYCLES = Number(process.env["USMP_CYCLES"] ?? 600);
const LONG = process.env["USMP_CYCLES"] !== undefined;
const HELD = LONG ? { sessions: 9_000, ms: 600_000 } : { sessions: 200, ms: 3_000 };
const TRIES = LONG ? { count: 10_000, apart: 0.05 } : { count: 300, apart: 0.4 };
const WIDTH = 20;
const NO_END_MS = 24 * 3_600_000;

test(
  `${CYCLES.toLocaleString("en")} sessions that came and went, each way there is, leave nothing behind: no session, no handshake, no timer, no descriptor, no memory`,
  async () => {
    // Over UDP an abort leaves the server with the peer's silence, which is short here.
    const server = await ServerProcess.start({ keepaliveMs: 3_000, idleTimeoutMs: 10_000 });
    // What is made once is made by the first of them.
    await cycles(server, Math.min(CYCLES, 200));
    const base = await settled(server);
    await cycles(server, CYCLES);
    const after = await settled(server);
    expect(after.statistics).toMatchObject({ sessionsOpen: 0, handshakesOpen: 0 });
    // A timer for farewells, which are kept for ten seconds, and the clock's own.
    expect(after.resources).toBeLessThanOrEqual(base.resources + 2);
    expect(after.files).toBe(base.files);
    expect(after.memory.heapUsed - base.memory.heapUsed).toBeLessThan(3 * 2 ** 20);
  },
  LONG ? NO_END_MS : 120_000,
);

test(
  `${HELD.sessions.toLocaleString("en")} sessions stay open for ${HELD.ms / 1_000} s with nothing but keepalives, at less than 40 KiB each with their sockets`,
  async () => {
    const timing = LONG ? {} : { keepaliveMs: 1_000, idleTimeoutMs: 10_000 };
    const server = await ServerProcess.start(timing);
    const base = (await server.ask("collect")).memory.rss;
    const sessions: Session[] = [];
    onTestFinished(() => {
      for (const session of sessions) session.abort();
    });
    await inParallel(HELD.sessions, async (i) => {
      const session = await open(server, i, timing);
      await session.ping();
      sessions.push(session);
    });
    await new Promise((resolve) => setTimeout(resolve, HELD.ms));
    const { statistics, memory } = await server.ask("collect");
    expect(statistics).toMatchObject({ sessionsOpen: HELD.sessions, refused: {} });
    expect(sessions.every((session) => session.open)).toBe(true);
    expect((memory.rss - base) / HELD.sessions).toBeLessThan(LONG ? 40_960 : 204_800);
  },
  HELD.ms + (LONG ? NO_END_MS : 60_000),
);

describe("an unknown device and a wrong key", () => {
  test(
    `look alike from outside over ${TRIES.count.toLocaleString("en")} tries: the same bytes, and about the same time`,
    async () => {
      const server = await ServerProcess.start();
      const unknown: Answer[] = [];
      const wrong: Answer[] = [];
      // In turns, so that a slow moment hits both.
      for (let i = 0; i < TRIES.count; i++) {
        wrong.push(await refusedAnswer(server, new RawClient({ psk: otherTestPsk() })));
        unknown.push(await refusedAnswer(server, new RawClient({ psk: otherTestPsk(), deviceId: UNKNOWN_ID })));
      }
      expect(new Set(unknown.map(({ bytes }) => bytes))).toEqual(new Set(wrong.map(({ bytes }) => bytes)));
      const [a, b] = [unknown, wrong].map((answers) => median(answers.map(({ ms }) => ms))) as [number, number];
      expect(Math.abs(a - b) / b, `medians of ${a} and ${b} ms`).toBeLessThan(TRIES.apart);
      const { refused } = (await server.ask()).statistics;
      expect(refused).toEqual({ "wrong-key": TRIES.count, "unknown-device": TRIES.count });
    },
    LONG ? NO_END_MS : 120_000,
  );
});

const UNKNOWN_ID: Uint8Array = parseDeviceId(UNKNOWN_DEVICE_ID);

interface Answer {
  readonly bytes: number;
  readonly ms: number;
}

/** From our proof to the end of the connection. */
async function refusedAnswer(server: ServerProcess, client: RawClient): Promise<Answer> {
  const raw = await RawTcp.connect(server.address("tcp"));
  await raw.write(client.hello());
  const challenge = await raw.expectFrame();
  const helloAck = client.answer(challenge);
  const started = performance.now();
  await raw.write(helloAck);
  let bytes = challenge.length;
  for (let frame = await raw.frame(); frame !== undefined; frame = await raw.frame()) bytes += frame.length;
  const ms = performance.now() - started;
  raw.destroy();
  return { bytes, ms };
}

function cycles(server: ServerProcess, count: number): Promise<void> {
  return inParallel(count, async (i) => {
    const session = await open(server, i);
    await session.send("hello");
    await session.receive();
    if (i % 3 === 0) session.abort();
    else await session.close();
  });
}

function open(server: ServerProcess, number: number, timing: object = {}): Promise<Session> {
  const transport: TransportName = number % 2 === 0 ? "tcp" : "udp";
  const { host, port } = server.address(transport);
  const deviceId = Uint8Array.from([2, 0, 0, number >> 16, number >> 8, number]);
  return connect({ host, port, transport, psk: TEST_PSK, deviceId, ...timing });
}

/** After the silence of peers that left without a word. */
async function settled(server: ServerProcess) {
  await expect
    .poll(async () => (await server.ask("collect")).statistics.sessionsOpen, { timeout: 90_000, interval: 500 })
    .toBe(0);
  return server.ask("collect");
}

async function inParallel(count: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}
