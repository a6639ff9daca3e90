import { defaultCrypto } from "@usmp/crypto";
import { encodeFrame, FrameType, type FrameTypeName } from "@usmp/protocol";
import { type Direction, SeededRandom, TcpRelay, UdpRelay } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { seqOf, typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { DEVICE_ID, expectEcho, open, pair, receiveTexts, serve } from "../support/loopback.ts";
import { listenRaw, RawTcp, rawTcpClient, rawTcpServer } from "../support/raw-tcp.ts";
import { describeDatagram, RawUdp, rawUdpClient, rawUdpServer } from "../support/raw-udp.ts";

describe("replay", () => {
  test("a frame that comes again on TCP ends the session, and its message is delivered once", async () => {
    for (const meet of [async () => rawTcpClient(await serve()), () => rawTcpServer()]) {
      const { ours, raw, keys } = await meet();
      const data = keys.seal("DATA", 0, Buffer.from("pay once"));
      await raw.write(data, data);
      expect(await ours.closed).toEqual({
        code: "protocol-violation",
        violation: "unexpected-sequence",
        during: "session",
      });
      expect(await receiveTexts(ours, 2)).toEqual(["pay once", undefined]);
    }
  });

  test("a frame that comes again on UDP is acknowledged again but not delivered again", async () => {
    for (const meet of [async () => rawUdpClient(await serve()), () => rawUdpServer()]) {
      const { ours, raw, keys } = await meet();
      const data = keys.seal("DATA", 0, Buffer.from("pay once"));
      for (let copy = 0; copy < 3; copy++) {
        await raw.send(data);
        await raw.expectDatagram(keys.expectedUtack("DATA", 0));
      }
      await raw.send(keys.seal("DATA", 1, Buffer.from("next")));
      expect(await receiveTexts(ours, 2)).toEqual(["pay once", "next"]);
      expect(ours.statistics.dropped).toEqual({ replayed: 2 });
    }
  });

  test("a UDP frame from behind the window of 64 is dropped without acknowledgement; one inside it is taken once", async () => {
    const { ours, raw, keys } = await rawUdpClient(await serve());
    const data = (seq: number) => keys.seal("DATA", seq, Buffer.from(`${seq}`));
    await raw.send(data(100));
    for (const seq of [37, 37, 36, 0]) await raw.send(data(seq));
    await raw.send(data(101));
    const passed = await raw.expectDatagram(keys.expectedUtack("DATA", 101));
    expect(passed.filter((what) => what === "UTACK of DATA")).toHaveLength(3);
    expect(await receiveTexts(ours, 3)).toEqual(["100", "37", "101"]);
    expect(ours.statistics.dropped).toEqual({ replayed: 3 });
  });

  test("a whole recorded TCP session opens nothing when it is played to the server again", async () => {
    const recorded: Uint8Array[] = [];
    const listening = await serve();
    const relay = await TcpRelay.start({
      server: listening.address("tcp"),
      rewrite: ({ direction, bytes }) => {
        if (direction === "client-to-server") recorded.push(bytes);
        return undefined;
      },
    });
    onTestFinished(() => relay.close());
    const client = await open(relay.address);
    const first = await listening.accept();
    await expectEcho(client, first);
    await client.close();
    await first.closed;

    const raw = await RawTcp.connect(listening.address("tcp"));
    await raw.write(...recorded.slice(0, 1));
    expect(typeOf(await raw.expectFrame())).toBe("CHALLENGE");
    await raw.write(...recorded.slice(1));
    expect(await raw.frame()).toBeUndefined();
    expect(listening.refusals).toMatchObject([{ reason: { code: "authentication-failed", cause: "wrong-key" } }]);
    expect(listening.server.statistics.sessionsEstablished).toBe(1);
  });

  test("a whole recorded server opens nothing when it is played to a client again", async () => {
    const recorded: Uint8Array[] = [];
    const listening = await serve();
    const relay = await TcpRelay.start({
      server: listening.address("tcp"),
      rewrite: ({ direction, bytes }) => {
        if (direction === "server-to-client") recorded.push(bytes);
        return undefined;
      },
    });
    onTestFinished(() => relay.close());
    await expectEcho(await open(relay.address), await listening.accept());

    const { address, accept } = await listenRaw();
    const victim = open(address);
    const raw = await accept();
    await raw.write(...recorded);
    await expect(victim).rejects.toMatchObject({
      code: "server-not-authentic",
      reason: { code: "authentication-failed", cause: "peer-proof" },
    });
  });

  test("a recorded UDP session, replayed from the same and from another address, opens nothing and harms nothing", async () => {
    const listening = await serve();
    const { relay, recorded } = await recordingRelay(listening.address("udp"));
    const client = await open(relay.address, { transport: "udp" });
    const server = await listening.accept();
    await expectEcho(client, server);
    const replayed = recorded("client-to-server");
    const stranger = await RawUdp.open(listening.address("udp"));
    for (const datagram of replayed) {
      relay.inject("client-to-server", datagram);
      await stranger.send(datagram);
    }
    await expectEcho(client, server, "after the replay");
    expect(listening.server.sessions.size).toBe(1);
    expect(listening.server.statistics.sessionsEstablished).toBe(1);
    // The session stays where its client is: a replayed frame moves nothing.
    expect(server.open).toBe(true);
    expect(listening.server.statistics.dropped["bad-cookie"]).toBeGreaterThanOrEqual(1);
  });

  test("HELLO_ACK again on TCP, in an established session, ends it as a breach", async () => {
    const listening = await serve();
    let helloAck: Uint8Array | undefined;
    const relay = await TcpRelay.start({
      server: listening.address("tcp"),
      rewrite: ({ bytes }) => {
        if (typeOf(bytes) === "HELLO_ACK") helloAck = Uint8Array.from(bytes);
        return undefined;
      },
    });
    onTestFinished(() => relay.close());
    await open(relay.address);
    const server = await listening.accept();
    relay.connections[0]?.inject("client-to-server", helloAck ?? new Uint8Array());
    expect(await server.closed).toMatchObject({ code: "protocol-violation", violation: "unexpected-type" });
  });

  test("HELLO_ACK of one connection proves nothing on another", async () => {
    const listening = await serve();
    let helloAck: Uint8Array | undefined;
    const relay = await TcpRelay.start({
      server: listening.address("tcp"),
      rewrite: ({ bytes, connection }) => {
        if (typeOf(bytes) !== "HELLO_ACK") return undefined;
        if (connection === relay.connections[0]) helloAck = Uint8Array.from(bytes);
        else return helloAck;
        return undefined;
      },
    });
    onTestFinished(() => relay.close());
    await open(relay.address);
    await expect(open(relay.address)).rejects.toMatchObject({ code: "refused-by-server" });
  });

  test("HELLO_ACK again on UDP is acknowledged again and begins nothing", async () => {
    const listening = await serve();
    const { relay, recorded } = await recordingRelay(listening.address("udp"));
    const client = await open(relay.address, { transport: "udp" });
    const server = await listening.accept();
    const [helloAck] = recorded("client-to-server", "HELLO_ACK");
    relay.inject("client-to-server", helloAck ?? new Uint8Array());
    await expect.poll(() => recorded("server-to-client", "UTACK of HELLO_ACK").length).toBe(2);
    await expectEcho(client, server);
    expect(listening.server.statistics).toMatchObject({ sessionsEstablished: 1, handshakesOpen: 0 });
  });
});

describe("reflection", () => {
  test("our own session frames, sent back on TCP, end the session: each direction has its own key", async () => {
    for (const side of ["client", "server"] as const) {
      const { ours, raw } = side === "server" ? await rawTcpClient(await serve()) : await rawTcpServer();
      await ours.send("mirror");
      const frame = await raw.expectFrame();
      expect([typeOf(frame), seqOf(frame)]).toEqual(["DATA", 0]);
      await raw.write(frame);
      expect(await ours.closed).toMatchObject({ code: "protocol-violation", violation: "bad-tag" });
      expect(await ours.receive()).toBeUndefined();
    }
  });

  test("our own datagrams, every one sent back, are dropped and the session lives on", async () => {
    const listening = await serve();
    const relay: UdpRelay = await UdpRelay.start({
      server: listening.address("udp"),
      random: new SeededRandom(0),
      decide: ({ bytes, direction }) => {
        relay.inject(direction === "client-to-server" ? "server-to-client" : "client-to-server", bytes);
        return "deliver";
      },
    });
    onTestFinished(() => relay.close());
    const client = await open(relay.address, { transport: "udp" });
    const server = await listening.accept();
    for (const text of ["one", "two", "three"]) await expectEcho(client, server, text);
    expect(client.statistics.dropped["bad-tag"]).toBeGreaterThanOrEqual(3);
    expect(server.statistics.dropped["bad-tag"]).toBeGreaterThanOrEqual(3);
  });

  test("HELLO_ACK sent back as SESSION_OK proves nothing: the two proofs have different prefixes", async () => {
    const { address, accept } = await listenRaw();
    const connecting = open(address);
    const raw = await accept();
    await raw.expectFrame();
    const nonce = new Uint8Array(32).fill(9);
    const { publicKey } = defaultCrypto().generateKeyPair();
    await raw.write(encodeFrame(FrameType.CHALLENGE, 0, Buffer.concat([nonce, publicKey])));
    const proof = (await raw.expectFrame()).subarray(12);
    await raw.write(encodeFrame(FrameType.SESSION_OK, 0, Buffer.concat([new Uint8Array(16), proof])));
    await expect(connecting).rejects.toMatchObject({ reason: { code: "authentication-failed", cause: "peer-proof" } });
  });

  test.each(["tcp", "udp"] as const)(
    "a host that is client and server refuses its own HELLO over %s",
    async (transport) => {
      const listening = await serve({ ownDeviceIds: [DEVICE_ID], handshakeTimeoutMs: 1_000 });
      const connecting = open(listening.address(transport), { transport, handshakeTimeoutMs: 1_000 });
      await expect(connecting).rejects.toMatchObject({ name: "ConnectError" });
      await expect.poll(() => listening.refusals).toHaveLength(1);
      expect(listening.refusals[0]).toMatchObject({
        claimedDeviceId: DEVICE_ID,
        reason: { code: "authentication-failed", cause: "own-device-id" },
      });
      const other = await open(listening.address(transport), { transport, deviceId: "02:00:00:00:00:01" });
      await expectEcho(other, await listening.accept());
    },
  );
});

test("a session that nobody disturbs drops nothing: the counts above mean something", async () => {
  const { client, server } = await pair("udp");
  await expectEcho(client, server);
  expect([client.statistics.dropped, server.statistics.dropped]).toEqual([{}, {}]);
});

async function recordingRelay(server: { readonly host: string; readonly port: number }) {
  const seen: { readonly direction: Direction; readonly bytes: Uint8Array }[] = [];
  const relay = await UdpRelay.start({
    server,
    random: new SeededRandom(0),
    tap: ({ type, direction, bytes }) => {
      if (type === "sent") seen.push({ direction, bytes });
    },
  });
  onTestFinished(() => relay.close());
  const recorded = (direction: Direction, what?: FrameTypeName | `UTACK of ${FrameTypeName}`): readonly Uint8Array[] =>
    seen
      .filter((each) => each.direction === direction && (what === undefined || describeDatagram(each.bytes) === what))
      .map(({ bytes }) => bytes);
  return { relay, recorded };
}
