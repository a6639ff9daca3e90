import { defaultCrypto } from "@usmp/crypto";
import { encodeFrame, FrameType, looksLikeUtack, writeCrc } from "@usmp/protocol";
import { countingCrypto, SeededRandom, TcpRelay, UdpRelay } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { RawClient, RawServer, tampered, typeOf } from "../../../protocol/test/support/raw-peer.ts";
import { type LoopbackServer, open, serve } from "../support/loopback.ts";
import { listenRaw, RawTcp } from "../support/raw-tcp.ts";
import { cookieHello, RawUdp } from "../support/raw-udp.ts";

const PUB_C_OFFSET = 18;
const PUB_S_OFFSET = 44;
/** Points of small order: X25519 with any of them gives zero (RFC 7748 section 6.1). */
const LOW_ORDER: readonly (readonly [string, Uint8Array])[] = [
  ["zero", new Uint8Array(32)],
  ["one", Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 1 : 0))],
  ["of order 8", Buffer.from("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "hex")],
  ["p", Buffer.from(`ed${"ff".repeat(30)}7f`, "hex")],
];
/** Enough for both sides to have tried everything that they try, twice. */
const HANDSHAKE_TIMEOUT_MS = 2_500;

describe("swapped keys", () => {
  test.each([
    ["pub_C", "HELLO", PUB_C_OFFSET],
    ["pub_S", "CHALLENGE", PUB_S_OFFSET],
  ] as const)(
    "a man in the middle of TCP who puts his own %s into %s gets no session with either side",
    async (_, type, at) => {
      const listening = await serve();
      const theirs = defaultCrypto().generateKeyPair().publicKey;
      const relay = await TcpRelay.start({
        server: listening.address("tcp"),
        rewrite: ({ bytes }) => (typeOf(bytes) === type ? swapped(bytes, at, theirs) : undefined),
      });
      onTestFinished(() => relay.close());
      await expect(open(relay.address)).rejects.toMatchObject({ code: "refused-by-server" });
      expect(listening.server.statistics).toMatchObject({ sessionsEstablished: 0, refused: { "wrong-key": 1 } });
    },
  );

  test("a man in the middle of TCP who swaps both public keys for his own gets no session with either side", async () => {
    const listening = await serve();
    const theirs = defaultCrypto().generateKeyPair().publicKey;
    const relay = await TcpRelay.start({
      server: listening.address("tcp"),
      rewrite: ({ bytes }) => swapBoth(bytes, theirs),
    });
    onTestFinished(() => relay.close());
    await expect(open(relay.address)).rejects.toMatchObject({ code: "refused-by-server" });
    expect(listening.server.statistics.sessionsEstablished).toBe(0);
  });

  test("a man in the middle of UDP who swaps both public keys for his own gets no session with either side", async () => {
    const listening = await serve({ handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
    const theirs = defaultCrypto().generateKeyPair().publicKey;
    const relay: UdpRelay = await UdpRelay.start({
      server: listening.address("udp"),
      random: new SeededRandom(0),
      decide: ({ bytes, direction }) => {
        const changed = looksLikeUtack(bytes) ? undefined : swapBoth(bytes, theirs);
        if (changed === undefined) return "deliver";
        relay.inject(direction, changed);
        return "drop";
      },
    });
    onTestFinished(() => relay.close());
    const connecting = open(relay.address, { transport: "udp", handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
    await expect(connecting).rejects.toMatchObject({ code: "handshake-timeout" });
    expect(listening.server.statistics.sessionsEstablished).toBe(0);
    await expect.poll(() => listening.refusals, { timeout: 2 * HANDSHAKE_TIMEOUT_MS }).not.toHaveLength(0);
    expect(listening.refusals[0]?.reason).toEqual({ code: "authentication-failed", cause: "wrong-key" });
  });

  test("a man in the middle who flips the lowest bit of every key in every handshake is never believed", async () => {
    const listening = await serve();
    for (let byte = 0; byte < 32; byte++) {
      const relay = await TcpRelay.start({
        server: listening.address("tcp"),
        rewrite: ({ bytes }) => (typeOf(bytes) === "CHALLENGE" ? tampered(bytes, PUB_S_OFFSET + byte) : undefined),
      });
      await expect(open(relay.address), `byte ${byte} of pub_S`).rejects.toMatchObject({ code: "refused-by-server" });
      await relay.close();
    }
    expect(listening.server.statistics.sessionsEstablished).toBe(0);
  });
});

describe.each(LOW_ORDER)("a public key of low order (%s), whose shared secret is all zero,", (_, publicKey) => {
  test("ends the handshake at our TCP server, though the client holds the PSK", async () => {
    const listening = await serve();
    const raw = await RawTcp.connect(listening.address("tcp"));
    const client = new RawClient({ publicKey });
    await raw.write(client.hello());
    await raw.write(client.answer(await raw.expectFrame()));
    expect(await raw.frame()).toBeUndefined();
    expectWeakKeyRefusal(listening);
  });

  test("ends the handshake at our UDP server, though the client holds the PSK", async () => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient({ publicKey });
    await raw.send(await cookieHello(raw, client));
    await raw.send(client.answer(await raw.expectFrame("CHALLENGE")));
    await expect.poll(() => listening.refusals).toHaveLength(1);
    expectWeakKeyRefusal(listening);
  });

  test("ends the handshake at our TCP client, though the server holds the PSK", async () => {
    const { address, accept } = await listenRaw();
    const connecting = open(address);
    const raw = await accept();
    const server = new RawServer({ publicKey });
    await raw.write(server.challenge(await raw.expectFrame()));
    await raw.expectFrame();
    await raw.write(server.sessionOk());
    await expect(connecting).rejects.toMatchObject({
      code: "handshake-failed",
      reason: { code: "protocol-violation", violation: "weak-key-share", during: "handshake" },
    });
  });
});

describe("work for strangers", () => {
  test("a TCP client without the PSK costs the server no X25519 exchange", async () => {
    const counting = countingCrypto(defaultCrypto());
    const listening = await serve({ crypto: counting.provider });
    const raw = await RawTcp.connect(listening.address("tcp"));
    await raw.write(new RawClient().hello());
    await raw.expectFrame();
    await raw.write(encodeFrame(FrameType.HELLO_ACK, 2, new Uint8Array(32)));
    await raw.ended;
    expect(counting.calls).toMatchObject({ generateKeyPair: 1, deriveTrafficKeys: 0 });
  });

  test("a UDP client without the PSK costs the server no X25519 exchange, and a wrong cookie no key pair", async () => {
    const counting = countingCrypto(defaultCrypto());
    const listening = await serve({ crypto: counting.provider });
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    await raw.send(client.hello(new Uint8Array(16)));
    const hello = await cookieHello(raw, client);
    expect(counting.calls.generateKeyPair).toBe(0);
    await raw.send(hello);
    await raw.expectFrame("CHALLENGE");
    await raw.send(encodeFrame(FrameType.HELLO_ACK, 2, new Uint8Array(32)));
    await expect.poll(() => listening.refusals).toHaveLength(1);
    expect(counting.calls).toMatchObject({ generateKeyPair: 1, deriveTrafficKeys: 0 });
  });

  test("a HELLO with a bad CRC costs no cryptography at all, on either transport", async () => {
    const counting = countingCrypto(defaultCrypto());
    const listening = await serve({ crypto: counting.provider });
    counting.reset();
    const noise = new RawClient().hello();
    noise[20] = (noise[20] as number) ^ 1;
    const udp = await RawUdp.open(listening.address("udp"));
    await udp.send(noise);
    await expect.poll(() => listening.server.statistics.dropped).toEqual({ "bad-crc": 1 });
    const tcp = await RawTcp.connect(listening.address("tcp"));
    await tcp.write(noise);
    await tcp.ended;
    const reason = { code: "protocol-violation", violation: "bad-crc", during: "handshake" };
    expect(listening.refusals).toMatchObject([
      { peer: { transport: "udp" }, reason },
      { peer: { transport: "tcp" }, reason },
    ]);
    expect(counting.total()).toBe(0);
  });
});

function expectWeakKeyRefusal(listening: LoopbackServer): void {
  expect(listening.refusals.map(({ reason }) => reason)).toEqual([
    { code: "protocol-violation", violation: "weak-key-share", during: "handshake" },
  ]);
  expect(listening.server.statistics.sessionsEstablished).toBe(0);
}

function swapBoth(bytes: Uint8Array, theirs: Uint8Array): Uint8Array | undefined {
  if (typeOf(bytes) === "HELLO") return swapped(bytes, PUB_C_OFFSET, theirs);
  return typeOf(bytes) === "CHALLENGE" ? swapped(bytes, PUB_S_OFFSET, theirs) : undefined;
}

function swapped(frame: Uint8Array, at: number, publicKey: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(frame);
  copy.set(publicKey, at);
  writeCrc(copy);
  return copy;
}
