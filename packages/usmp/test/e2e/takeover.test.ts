import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { RawClient } from "../../../protocol/test/support/raw-peer.ts";
import { DEVICE_ID, expectEcho, open, serve, TEST_PSK, TRANSPORTS, textOf } from "../support/loopback.ts";
import { RawTcp, rawTcpClient } from "../support/raw-tcp.ts";
import { cookieHello, RawUdp, rawUdpClient, shakeHands } from "../support/raw-udp.ts";

const FROM_TO = TRANSPORTS.flatMap((from) => TRANSPORTS.map((to) => [from, to] as const));
const REPLAYS = 10_000;

describe("a new session of a device", () => {
  test.each(FROM_TO)(
    "replaces the old one at once when it has proven itself, from %s to %s; the application is told on both, and so is the old peer",
    async (from, to) => {
      const listening = await serve();
      const old = await open(listening.address(from), { transport: from });
      const oldAtServer = await listening.accept();
      await expectEcho(old, oldAtServer);

      const next = await open(listening.address(to), { transport: to });
      const nextAtServer = await listening.accept();
      expect(oldAtServer.open, "SESSION_OK is no proof yet").toBe(true);
      await next.send("I am here");
      expect(textOf(await nextAtServer.receive())).toBe("I am here");
      expect(await nextAtServer.proven).toBe(true);
      expect(await oldAtServer.closed).toEqual({ code: "replaced" });
      expect(await old.closed, "its peer hears BYE, not a minute of silence").toEqual({ code: "closed-by-peer" });
      expect([...listening.server.sessions]).toEqual([nextAtServer]);
      await expectEcho(next, nextAtServer);
    },
  );

  test.each(FROM_TO)(
    "replaces nothing before it has proven itself, from %s to %s, and gives way to the next unproven ones of its device",
    async (from, to) => {
      const listening = await serve({ limits: { unprovenSessionsPerDevice: 2 } });
      const client = await open(listening.address(from), { transport: from });
      const server = await listening.accept();
      await expectEcho(client, server);
      const unproven = [];
      for (let i = 0; i < 4; i++) {
        if (to === "tcp") unproven.push((await rawTcpClient(listening)).ours);
        else {
          const raw = await RawUdp.open(listening.address("udp"));
          const peer = new RawClient();
          await raw.send(await cookieHello(raw, peer));
          await raw.send(peer.answer(await raw.expectFrame("CHALLENGE")));
          peer.finish(await raw.expectFrame("SESSION_OK"));
          unproven.push(await listening.accept());
        }
      }
      expect(unproven.map((session) => session.open)).toEqual([false, false, true, true]);
      expect(await unproven[0]?.closed).toEqual({ code: "replaced" });
      await expectEcho(client, server);
    },
  );

  test("is not ended by the first frame of an older one that comes late", async () => {
    const listening = await serve();
    const older = await rawTcpClient(listening);
    const newer = await open(listening.address("udp"), { transport: "udp" });
    const newerAtServer = await listening.accept();
    await expectEcho(newer, newerAtServer);
    expect(await older.ours.closed).toEqual({ code: "replaced" });
    await older.raw.write(older.keys.seal("PING", 0));
    await expectEcho(newer, newerAtServer);
  });
});

describe("a live session is not touched", () => {
  test(`by ${REPLAYS.toLocaleString("en")} replays of its own HELLO with cookie, from its address and from another, and nobody is locked out`, async () => {
    const listening = await serve();
    const victim = new RawClient();
    const raw = await RawUdp.open(listening.address("udp"));
    const hello = await cookieHello(raw, victim);
    const keys = await shakeHands(raw, victim);
    const ours = await listening.accept();
    await raw.send(keys.seal("DATA", 0, Buffer.from("before")));
    expect(textOf(await ours.receive())).toBe("before");

    const elsewhere = await RawUdp.open(listening.address("udp"));
    for (let i = 0; i < REPLAYS; i += 50) {
      for (let j = 0; j < 25; j++) await Promise.all([raw.send(hello), elsewhere.send(hello)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await raw.send(keys.seal("DATA", 1, Buffer.from("after")));
    expect(textOf(await ours.receive())).toBe("after");
    const { statistics } = listening.server;
    expect(statistics).toMatchObject({ sessionsOpen: 1, handshakesOpen: 0 });
    expect(statistics.dropped["bad-cookie"]).toBeGreaterThan(1_000);

    await raw.send(keys.seal("BYE", 2));
    expect(await ours.closed).toEqual({ code: "closed-by-peer" });
    for (let i = 0; i < 100; i++) await raw.send(hello);
    await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(1);
    const honest = await open(listening.address("udp"), { transport: "udp", deviceId: DEVICE_ID });
    await expectEcho(honest, await listening.accept());
  });

  test("by handshakes under its id that prove nothing, or the wrong key", async () => {
    const listening = await serve();
    const client = await open(listening.address("tcp"));
    const server = await listening.accept();
    await expectEcho(client, server);
    for (let i = 0; i < 50; i++) {
      const raw = await RawTcp.connect(listening.address("tcp"));
      const liar = new RawClient();
      await raw.write(liar.hello());
      const helloAck = liar.answer(await raw.expectFrame());
      helloAck[20] = (helloAck[20] as number) ^ 1;
      if (i % 2 === 0) await raw.write(helloAck);
      else raw.destroy();
    }
    await expectEcho(client, server);
    expect(listening.server.statistics.sessionsOpen).toBe(1);
  });
});

describe("a server that is full", () => {
  test.each(TRANSPORTS)(
    "refuses a further device over %s before SESSION_OK, and never one that replaces its own session",
    async (transport) => {
      const listening = await serve({ limits: { sessions: 1 } });
      const first = await open(listening.address(transport), { transport });
      const firstAtServer = await listening.accept();
      await expectEcho(first, firstAtServer);
      const stranger = open(listening.address(transport), {
        transport,
        deviceId: new Uint8Array(randomBytes(6)),
        handshakeTimeoutMs: 700,
      });
      await expect(stranger).rejects.toMatchObject({
        code: transport === "tcp" ? "refused-by-server" : "handshake-timeout",
      });
      // Over UDP our client begins again when nothing answers its HELLO_ACK.
      expect(new Set(listening.refusals.map(({ reason }) => reason.code))).toEqual(new Set(["server-full"]));
      expect(listening.server.statistics.refused).toEqual({ "server-full": listening.refusals.length });
      const again = await open(listening.address(transport), { transport, psk: TEST_PSK });
      await expectEcho(again, await listening.accept());
      expect(await firstAtServer.closed).toEqual({ code: "replaced" });
      expect(await rawUdpClient(listening, new RawClient()).then(({ ours }) => ours.deviceId), "over UDP as well").toBe(
        DEVICE_ID,
      );
    },
  );
});
