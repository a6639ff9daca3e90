import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { VirtualClock } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { RawClient, tampered } from "../../../protocol/test/support/raw-peer.ts";
import { expectEcho, LOOPBACK, open, pair, serve, textOf } from "../support/loopback.ts";
import { RawTcp, rawTcpClient } from "../support/raw-tcp.ts";
import { RawUdp, rawUdpClient } from "../support/raw-udp.ts";

const IDLE_CONNECTIONS = 500;
const HONEST_CONNECT_MS = 1_000;
/** For strangers; the virtual clock beside it keeps their time from shrinking. */
const FOUR_PLACES = { handshakes: 5, reservedHandshakes: 1 };
const FLOOD = 20_000;
/** Per turn of the event loop: about what Node reads in one, so that the kernel's buffer, which is not ours to test, holds. */
const BURST = 24;

describe("peers that only cost time", () => {
  test("a silent TCP peer is let go at the handshake's deadline, not before", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawTcp.connect(listening.address("tcp"));
    await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(1);
    clock.advance(9_999);
    expect(listening.server.statistics.handshakesOpen).toBe(1);
    clock.advance(1);
    await raw.ended;
    expect(listening.refusals.map(({ reason }) => reason)).toEqual([{ code: "handshake-timeout", awaiting: "HELLO" }]);
  });

  test("a TCP peer of one byte a second is let go at the same deadline, whatever it sent", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawTcp.connect(listening.address("tcp"));
    await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(1);
    const hello = new RawClient().hello();
    for (let second = 0; second < 9; second++) {
      await raw.write(hello.subarray(second, second + 1));
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    expect(listening.refusals).toEqual([]);
    clock.advance(1_000);
    await raw.ended;
    expect(listening.refusals.map(({ reason }) => reason)).toEqual([{ code: "handshake-timeout", awaiting: "HELLO" }]);
  });

  test("a TCP peer that stops after CHALLENGE is let go at the same deadline", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawTcp.connect(listening.address("tcp"));
    await raw.write(new RawClient().hello());
    await raw.expectFrame();
    clock.advance(10_000);
    await raw.ended;
    expect(listening.refusals[0]).toMatchObject({
      claimedDeviceId: "d0:d1:d2:d3:d4:d5",
      reason: { code: "handshake-timeout", awaiting: "HELLO_ACK" },
    });
  });

  test("an established peer of one byte a second ends with the silence of 60 s: bytes are not frames", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const { ours, raw, keys } = await rawTcpClient(listening);
    const frame = keys.seal("DATA", 0, new Uint8Array(400));
    for (let second = 0; second < 60; second++) {
      expect(ours.open).toBe(true);
      await raw.write(frame.subarray(second, second + 1));
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    expect(await ours.closed).toEqual({ code: "peer-silent", silentMs: 60_000 });
  });

  test(`${IDLE_CONNECTIONS} idle TCP connections do not keep an honest client waiting, on either transport`, async () => {
    const listening = await serve();
    await Promise.all(Array.from({ length: IDLE_CONNECTIONS }, () => RawTcp.connect(listening.address("tcp"))));
    await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(IDLE_CONNECTIONS);
    for (const transport of ["tcp", "udp"] as const) {
      const before = performance.now();
      const client = await open(listening.address(transport), { transport });
      await expectEcho(client, await listening.accept());
      expect(performance.now() - before, transport).toBeLessThan(HONEST_CONNECT_MS);
    }
    expect(listening.server.statistics.handshakesOpen).toBe(IDLE_CONNECTIONS);
  });

  test("more idle TCP connections than handshakes are allowed give way, the oldest first, to the honest client", async () => {
    const listening = await serve({ limits: FOUR_PLACES, clock: new VirtualClock() });
    const idle: RawTcp[] = [];
    for (let i = 0; i < 4; i++) {
      idle.push(await RawTcp.connect(listening.address("tcp")));
      await expect.poll(() => listening.server.statistics.handshakesOpen).toBe(i + 1);
    }
    const client = await open(listening.address("tcp"));
    await expectEcho(client, await listening.accept());
    await idle[0]?.ended;
    expect(listening.refusals.map(({ reason }) => reason)).toEqual([{ code: "evicted" }]);
    expect(listening.server.statistics.handshakesOpen).toBe(3);
  });

  test("UDP handshakes that were begun and left give way to the honest client in the same way", async () => {
    const listening = await serve({ limits: FOUR_PLACES, clock: new VirtualClock() });
    for (let i = 0; i < 6; i++) {
      const raw = await RawUdp.open(listening.address("udp"));
      const client = new RawClient({ deviceId: randomBytes(6) });
      await raw.send(client.hello());
      await raw.send(client.hello((await raw.expectFrame("HELLO_RETRY")).slice(12)));
      await raw.expectFrame("CHALLENGE");
    }
    expect(listening.server.statistics).toMatchObject({ handshakesOpen: 4, refused: { evicted: 2 } });
    const client = await open(listening.address("udp"), { transport: "udp" });
    await expectEcho(client, await listening.accept());
  });
});

describe("floods", () => {
  test(`an echo session over UDP goes on through ${FLOOD.toLocaleString("en")} datagrams of junk, HELLOs and forgeries`, async () => {
    const listening = await serve();
    const client = await open(listening.address("udp"), { transport: "udp" });
    const server = await listening.accept();
    const victim = await rawUdpClient(listening, new RawClient({ deviceId: randomBytes(6) }));
    const forged = tampered(victim.keys.seal("DATA", 5, new Uint8Array(200)), 30);
    const flood = await flooder(listening.address("udp").port);
    let sent = 0;
    const kinds = [
      () => new Uint8Array(randomBytes(64)),
      () => new RawClient({ deviceId: randomBytes(6) }).hello(new Uint8Array(16)),
      () => forged,
    ];
    const attack = (async () => {
      while (sent < FLOOD) {
        const burst = Array.from({ length: BURST }, (_, i) => (kinds[i % kinds.length] as () => Uint8Array)());
        await Promise.all(burst.map((datagram) => flood.send(datagram)));
        sent += burst.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    let echoes = 0;
    do {
      await client.send(`${echoes}`);
      expect(textOf(await server.receive())).toBe(`${echoes}`);
      await server.send(`${echoes}`);
      expect(textOf(await client.receive())).toBe(`${echoes}`);
      echoes++;
    } while (sent < FLOOD);
    await attack;
    expect(echoes).toBeGreaterThan(10);
    expect(victim.ours.open, "the session that was forged lives as well").toBe(true);
    const { dropped, sessionsOpen, handshakesOpen } = listening.server.statistics;
    expect(sessionsOpen).toBe(2);
    expect(handshakesOpen).toBe(0);
    expect((dropped["bad-magic"] ?? 0) + (dropped["truncated"] ?? 0)).toBeGreaterThan(100);
    expect(dropped["bad-cookie"]).toBeGreaterThan(100);
  });

  test("a peer that floods PINGs ends its own session and disturbs no other", async () => {
    const listening = await serve();
    const { raw, keys, ours } = await rawTcpClient(listening);
    const other = await open(listening.address("tcp"), { deviceId: "02:00:00:00:00:01" });
    const session = await listening.accept();
    await raw.write(...Array.from({ length: 1_000 }, (_, seq) => keys.seal("PING", seq)));
    expect(await ours.closed).toMatchObject({ violation: "control-flood" });
    await expectEcho(other, session);
  });

  test("a session outlives 200 connections that say garbage", async () => {
    const { client, server, listening } = await pair("tcp");
    await Promise.all(
      Array.from({ length: 200 }, async () => {
        const raw = await RawTcp.connect(listening.address("tcp"));
        await raw.write(new Uint8Array(randomBytes(600)));
        await raw.ended;
      }),
    );
    await expectEcho(client, server);
    await expect.poll(() => listening.server.statistics).toMatchObject({ sessionsOpen: 1, handshakesOpen: 0 });
  });
});

/** A socket of its own, so that nothing of the attacker's reading slows its sending down. */
async function flooder(port: number) {
  const socket = createSocket("udp4");
  socket.bind(0, LOOPBACK);
  await once(socket, "listening");
  onTestFinished(() => void socket.close());
  return {
    send: (datagram: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        socket.send(datagram, port, LOOPBACK, (error) => (error == null ? resolve() : reject(error)));
      }),
  };
}
