import { expect, onTestFinished, test, vi } from "vitest";
import { VirtualClock } from "@usmp/testkit";
import { connect, type Session } from "../../src/index.ts";
import { expectEcho, open, pair, serve, TEST_PSK, TRANSPORTS } from "../support/loopback.ts";
import { rawTcpClient } from "../support/raw-tcp.ts";
import { cookieHello, RawUdp } from "../support/raw-udp.ts";
import { RawClient } from "../../../protocol/test/support/raw-peer.ts";
import { ServerProcess } from "../support/server-process.ts";

const SESSIONS = 60;
const IDLE_MS = 5_000;
/** `npm run long -- suspend` stops it for ten minutes (threats page, case 39). */
const STOPPED_MS = Number(process.env["USMP_SUSPEND_MS"] ?? 9_000);

test(
  `a server that is stopped for ${STOPPED_MS / 1_000} s, longer than its peers may be silent, ends none of its sessions when it goes on, and floods none with PINGs`,
  async () => {
    const server = await ServerProcess.start({ keepaliveMs: 1_000, idleTimeoutMs: IDLE_MS });
    const sessions: Session[] = [];
    for (let i = 0; i < SESSIONS; i++) {
      const transport = TRANSPORTS[i % TRANSPORTS.length] as "tcp" | "udp";
      const deviceId = Uint8Array.from([2, 0, 0, 0, 0, i]);
      const { host, port } = server.address(transport);
      // The peers wait: what they make of the server's silence is their own setting. Of their PINGs a few wait in the kernel: more than
      // eight that are read in one second would rightly end a session over TCP.
      const timing = { keepaliveMs: STOPPED_MS / 4, idleTimeoutMs: STOPPED_MS + 60_000 };
      sessions.push(await connect({ host, port, transport, deviceId, psk: TEST_PSK, ...timing }));
    }
    onTestFinished(() => {
      for (const session of sessions) session.abort();
    });
    await Promise.all(sessions.map(echo));
    await passes(500);
    const before = framesReceived(sessions);

    server.suspend();
    await passes(STOPPED_MS);
    server.resume();
    // As long as the silence that ends a session, and a bit: a false timeout would show, and so would a true one.
    await passes(IDLE_MS + 500);

    const { statistics } = await server.ask();
    expect(statistics.sessionsOpen).toBe(SESSIONS);
    await Promise.all(sessions.map(echo));
    const gained = framesReceived(sessions).map((frames, i) => frames - (before[i] as number));
    // In 5.5 s: its PINGs each second, PONGs to those of the client (eight a second at most, on UDP the copies that waited), an echo.
    expect(Math.max(...gained)).toBeLessThanOrEqual(60);
  },
  STOPPED_MS + 60_000,
);

test("a wall clock that jumps by an hour or ten years, forward or back, changes nothing", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const { client, server, listening } = await pair("udp");
  const stranger = await RawUdp.open(listening.address("udp"));
  const hour = 3_600_000;
  for (const jump of [hour, -2 * hour, 87_660 * hour, -175_320 * hour]) {
    const halfWay = await cookieHello(stranger, new RawClient());
    vi.setSystemTime(Date.now() + jump);
    await expectEcho(client, server);
    await stranger.send(halfWay);
    await stranger.expectFrame("CHALLENGE");
    const another = await open(listening.address("tcp"), { deviceId: "02:00:00:00:00:01" });
    await expectEcho(another, await listening.accept());
    await another.close();
  }
  expect(listening.server.statistics.dropped["bad-cookie"]).toBeUndefined();
  expect(listening.server.statistics.refused["handshake-timeout"]).toBeUndefined();
});

test("a TCP peer that is gone without a word ends after the silence of 60 s, also while messages to it wait", async () => {
  const clock = new VirtualClock();
  const listening = await serve({ clock });
  const { ours, raw } = await rawTcpClient(listening);
  raw.pause();
  // More than the kernel's buffers hold: the last of them wait for a peer that will never read.
  const waiting = Array.from({ length: 8_000 }, () =>
    ours.send(new Uint8Array(1_808)).then(
      () => "sent",
      () => "not sent",
    ),
  );
  await expect.poll(() => ours.statistics.messagesSent, { timeout: 10_000 }).toBeGreaterThan(100);
  clock.advance(59_999);
  expect(ours.open).toBe(true);
  clock.advance(1);
  expect(await ours.closed).toMatchObject({ code: "peer-silent" });
  expect(await Promise.all(waiting)).toContain("not sent");
  expect(listening.server.statistics.sessionsOpen).toBe(0);
});

async function echo(session: Session): Promise<void> {
  await session.send("still there?");
  await session.receive();
}

function framesReceived(sessions: readonly Session[]): number[] {
  return sessions.map(({ statistics }) => statistics.framesReceived);
}

/** Real time: a process that is stopped knows no other. */
function passes(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
