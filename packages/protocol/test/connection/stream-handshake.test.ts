import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { encodeFrame, FrameType, type FrameTypeName } from "../../src/wire/frame.ts";
import {
  after,
  DEVICE_ID,
  filled,
  OTHER_DEVICE_ID,
  otherTestPsk,
  randomBytes,
  START,
  testPsk,
} from "../support/fixtures.ts";
import { payloadOfBytes, RawClient, RawServer, seqOf, tampered, typeOf } from "../support/raw-peer.ts";
import {
  closeReason,
  cutFrames,
  eventsFrom,
  framesFrom,
  newStreamClient,
  newStreamServer,
  onlyFrame,
  StreamPair,
} from "../support/streams.ts";

function helloOf(client: ReturnType<typeof newStreamClient>): Uint8Array {
  return onlyFrame(framesFrom(client));
}

/** A server that has sent CHALLENGE, and the peer's HELLO_ACK. */
function challenged(peer = new RawClient(), server = newStreamServer()) {
  server.handleBytes(peer.hello(), START);
  return { server, peer, helloAck: peer.answer(onlyFrame(framesFrom(server))) };
}

describe("a handshake over a stream", () => {
  it("ends with both sides in the same session, and the server unsure of the client until its first frame", () => {
    const { client, server } = new StreamPair();
    const [established] = eventsFrom(client);
    expect(established).toMatchObject({ type: "established", deviceId: DEVICE_ID, keyIndex: 0 });
    const ofServer = eventsFrom(server);
    expect(ofServer.map(({ type }) => type)).toEqual(["keys-needed", "established"]);
    expect(ofServer[1]).toEqual(established);
    client.ping(START);
    server.handleBytes(onlyFrame(framesFrom(client)), START);
    expect(eventsFrom(server)).toEqual([{ type: "proven" }]);
  });

  it("sends each frame with the seq of spec section 3, and does not check those that come", () => {
    const { server, peer, helloAck } = challenged();
    server.provideKeys([testPsk()], START);
    expect(seqOf(helloAck)).toBe(2);
    const oddSeq = encodeFrame(FrameType.HELLO_ACK, 0xabcdef, payloadOfBytes(helloAck));
    server.handleBytes(oddSeq, START);
    const sessionOk = onlyFrame(framesFrom(server));
    expect(typeOf(sessionOk)).toBe("SESSION_OK");
    expect(seqOf(sessionOk)).toBe(0);
    expect(() => peer.finish(sessionOk)).not.toThrow();
  });

  it.each(["before HELLO_ACK", "after HELLO_ACK"])("waits for the keys of the device, which come %s", (when) => {
    const { server, peer, helloAck } = challenged();
    expect(eventsFrom(server)).toEqual([{ type: "keys-needed", deviceId: DEVICE_ID }]);
    if (when === "before HELLO_ACK") server.provideKeys([testPsk()], START);
    server.handleBytes(helloAck, START);
    if (when === "after HELLO_ACK") {
      expect(framesFrom(server)).toEqual([]);
      server.provideKeys([testPsk()], START);
    }
    expect(peer.finish(onlyFrame(framesFrom(server))).sessionId).toHaveLength(16);
  });

  it("says which of several candidate keys the client proved", () => {
    const { server, helloAck } = challenged();
    server.provideKeys([otherTestPsk(), testPsk()], START);
    server.handleBytes(helloAck, START);
    expect(eventsFrom(server).at(-1)).toMatchObject({ type: "established", keyIndex: 1 });
  });

  it("ignores keys that come for nobody, or too late", () => {
    const server = newStreamServer();
    server.provideKeys([testPsk()], START);
    expect(server.state).toBe("handshaking");
    server.abort();
    server.provideKeys([testPsk()], START);
    expect(server.state).toBe("closed");
  });
});

describe("a handshake over a stream fails", () => {
  const cases = [
    { what: "a wrong key", candidates: [otherTestPsk()], own: false, cause: "wrong-key" },
    { what: "an unknown device", candidates: [], own: false, cause: "unknown-device" },
    {
      what: "our own device id come back, though its key is right",
      candidates: [testPsk()],
      own: true,
      cause: "own-device-id",
    },
  ];

  it.each(cases)(
    "for $what, which looks the same from outside and is told apart inside",
    ({ candidates, own, cause }) => {
      const { server, helloAck } = challenged(new RawClient(), newStreamServer({ server: { isOwnDevice: () => own } }));
      server.provideKeys(candidates, START);
      server.handleBytes(helloAck, START);
      expect(framesFrom(server)).toEqual([]);
      expect(closeReason(server)).toEqual({ code: "authentication-failed", cause });
    },
  );

  it("at the same cost for each of these, and without an X25519 exchange", () => {
    const costs = cases.map(({ candidates, own }) => {
      const { provider, calls } = countingCrypto(defaultCrypto());
      const subject = newStreamServer({ server: { crypto: provider, isOwnDevice: () => own } });
      const { server, helloAck } = challenged(new RawClient(), subject);
      server.provideKeys(candidates, START);
      server.handleBytes(helloAck, START);
      return { ...calls };
    });
    expect(costs[0]).toMatchObject({ generateKeyPair: 1, hmacSha256: 2, deriveTrafficKeys: 0 });
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });

  it("when the server does not know the key either", () => {
    const client = newStreamClient();
    const peer = new RawServer();
    client.handleBytes(peer.challenge(helloOf(client)), START);
    client.handleBytes(peer.sessionOk(otherTestPsk()), START);
    expect(closeReason(client)).toEqual({ code: "authentication-failed", cause: "peer-proof" });
  });

  it("for a HELLO of 54 bytes, which belongs to UDP, before any cryptography", () => {
    const { provider, total } = countingCrypto(defaultCrypto());
    const server = newStreamServer({ server: { crypto: provider } });
    server.handleBytes(new RawClient().hello(filled(16, 1)), START);
    expect(closeReason(server)).toEqual({ code: "protocol-violation", violation: "bad-length", during: "handshake" });
    expect(total()).toBe(0);
  });

  it.each<[FrameTypeName, number]>([
    ["HELLO", 37],
    ["HELLO", 39],
    ["HELLO_ACK", 31],
    ["HELLO_ACK", 33],
  ])("for a %s of %i bytes to a server", (type, length) => {
    const server = type === "HELLO" ? newStreamServer() : challenged().server;
    server.handleBytes(encodeFrame(FrameType[type], 0, filled(length, 1)), START);
    expect(closeReason(server)).toMatchObject({ violation: "bad-length" });
  });

  it.each<[FrameTypeName, number]>([
    ["CHALLENGE", 63],
    ["CHALLENGE", 65],
    ["SESSION_OK", 47],
    ["SESSION_OK", 49],
  ])("for a %s of %i bytes to a client", (type, length) => {
    const client = newStreamClient();
    if (type === "SESSION_OK") client.handleBytes(new RawServer().challenge(helloOf(client)), START);
    client.handleBytes(encodeFrame(FrameType[type], 0, filled(length, 1)), START);
    expect(closeReason(client)).toMatchObject({ violation: "bad-length" });
  });

  it.each([
    ["truncated by the end of the stream", (frame: Uint8Array) => frame.subarray(0, 20), undefined],
    ["bad CRC", (frame: Uint8Array) => Uint8Array.from([...frame.slice(0, -1), 0]), "bad-crc"],
    ["another version", (frame: Uint8Array) => tampered(frame, 2), "unsupported-version"],
  ] as const)("for a HELLO that is damaged: %s", (_, damage, violation) => {
    const server = newStreamServer();
    server.handleBytes(damage(new RawClient().hello()), START);
    server.handleEnd();
    expect(closeReason(server)).toEqual(
      violation === undefined
        ? { code: "transport-ended", during: "handshake", awaiting: "HELLO" }
        : { code: "protocol-violation", violation, during: "handshake" },
    );
  });
});

describe("each single bit that is flipped on the way, with the CRC made good again, is refused:", () => {
  const payloadBits = (frame: Uint8Array): number[] => Array.from({ length: (frame.length - 12) * 8 }, (_, bit) => bit);
  const flipped = (frame: Uint8Array, bit: number): Uint8Array => tampered(frame, 12 + (bit >>> 3), 1 << (bit & 7));

  /** X25519 ignores the top bit of a public key, but it is in both proofs as it was sent (RFC 7748 section 5). */
  it("HELLO and HELLO_ACK never establish a server", () => {
    const hello = new RawClient().hello();
    for (const bit of payloadBits(hello)) {
      const server = newStreamServer();
      const peer = new RawClient();
      server.handleBytes(flipped(peer.hello(), bit), START);
      server.provideKeys([testPsk()], START);
      server.handleBytes(peer.answer(onlyFrame(framesFrom(server))), START);
      if (server.state !== "closed") expect.fail(`HELLO with bit ${bit} flipped was accepted`);
    }
    const { server, helloAck } = challenged();
    for (const bit of payloadBits(helloAck)) {
      const again = challenged();
      again.server.provideKeys([testPsk()], START);
      again.server.handleBytes(flipped(again.helloAck, bit), START);
      if (again.server.state !== "closed") expect.fail(`HELLO_ACK with bit ${bit} flipped was accepted`);
    }
    expect(server.state).toBe("handshaking");
  });

  it("CHALLENGE and SESSION_OK never establish a client", () => {
    const begin = () => {
      const client = newStreamClient();
      const peer = new RawServer();
      return { client, peer, challenge: peer.challenge(helloOf(client)) };
    };
    for (const bit of payloadBits(begin().challenge)) {
      const { client, peer, challenge } = begin();
      client.handleBytes(flipped(challenge, bit), START);
      expect(peer.accepts(onlyFrame(framesFrom(client)))).toBe(false);
      client.handleBytes(peer.sessionOk(), START);
      if (client.state !== "closed") expect.fail(`CHALLENGE with bit ${bit} flipped was accepted`);
    }
    for (let bit = 0; bit < 48 * 8; bit++) {
      const { client, peer, challenge } = begin();
      client.handleBytes(challenge, START);
      client.handleBytes(flipped(peer.sessionOk(), bit), START);
      if (client.state !== "closed") expect.fail(`SESSION_OK with bit ${bit} flipped was accepted`);
    }
  });
});

describe("a relay gains nothing", () => {
  it("by putting its own public key into HELLO, or another device id", () => {
    for (const swap of [
      (payload: Uint8Array) => concatBytes(payload.subarray(0, 6), defaultCrypto().generateKeyPair().publicKey),
      (payload: Uint8Array) => concatBytes(OTHER_DEVICE_ID, payload.subarray(6)),
    ]) {
      const server = newStreamServer();
      const peer = new RawClient();
      server.handleBytes(encodeFrame(FrameType.HELLO, 0, swap(payloadOfBytes(peer.hello()))), START);
      server.provideKeys([testPsk()], START);
      server.handleBytes(peer.answer(onlyFrame(framesFrom(server))), START);
      expect(closeReason(server)).toMatchObject({ cause: "wrong-key" });
    }
  });

  it("by putting its own public key or nonce into CHALLENGE, or another session id into SESSION_OK", () => {
    const own = defaultCrypto().generateKeyPair().publicKey;
    for (const [swapChallenge, swapSessionOk] of [
      [(payload: Uint8Array) => concatBytes(payload.subarray(0, 32), own), (payload: Uint8Array) => payload],
      [(payload: Uint8Array) => concatBytes(randomBytes(32), payload.subarray(32)), (payload: Uint8Array) => payload],
      [(payload: Uint8Array) => payload, (payload: Uint8Array) => concatBytes(randomBytes(16), payload.subarray(16))],
    ] as const) {
      const client = newStreamClient();
      const peer = new RawServer();
      const challenge = payloadOfBytes(peer.challenge(helloOf(client)));
      client.handleBytes(encodeFrame(FrameType.CHALLENGE, 0, swapChallenge(challenge)), START);
      const sessionOk = payloadOfBytes(peer.sessionOk());
      client.handleBytes(encodeFrame(FrameType.SESSION_OK, 0, swapSessionOk(sessionOk)), START);
      expect(closeReason(client)).toMatchObject({ cause: "peer-proof" });
    }
  });

  it("by playing an old handshake again: HELLO_ACK and SESSION_OK belong to one nonce and one pair of keys", () => {
    const peer = new RawClient();
    const { server, helloAck } = challenged(peer);
    server.provideKeys([testPsk()], START);
    server.handleBytes(helloAck, START);
    const oldSessionOk = onlyFrame(framesFrom(server));

    const next = newStreamServer();
    next.handleBytes(peer.hello(), START);
    next.provideKeys([testPsk()], START);
    next.handleBytes(helloAck, START);
    expect(closeReason(next)).toMatchObject({ cause: "wrong-key" });

    const client = newStreamClient();
    client.handleBytes(new RawServer().challenge(helloOf(client)), START);
    client.handleBytes(oldSessionOk, START);
    expect(closeReason(client)).toMatchObject({ cause: "peer-proof" });
  });

  it("by sending HELLO_ACK back as SESSION_OK: the proofs have different prefixes", () => {
    const client = newStreamClient();
    client.handleBytes(new RawServer().challenge(helloOf(client)), START);
    const helloAck = onlyFrame(framesFrom(client));
    client.handleBytes(
      encodeFrame(FrameType.SESSION_OK, 0, concatBytes(filled(16, 0), payloadOfBytes(helloAck))),
      START,
    );
    expect(closeReason(client)).toMatchObject({ cause: "peer-proof" });
  });
});

it("two handshakes that differ only in fresh randomness share no key", () => {
  const run = () => {
    const { server, peer, helloAck } = challenged();
    server.provideKeys([testPsk()], START);
    server.handleBytes(helloAck, START);
    return peer.finish(onlyFrame(framesFrom(server)));
  };
  const [one, two] = [run(), run()];
  expect(one.sessionId).not.toEqual(two.sessionId);
  const sealed = one.seal("DATA", 0, filled(8, 1));
  sealed.set(two.sessionId.subarray(0, 8), 16);
  expect(() => two.open(sealed)).toThrow();
});

describe("the handshake's deadline", () => {
  it("is exact, and says what was waited for", () => {
    for (const [subject, awaiting] of [
      [newStreamClient(), "CHALLENGE"],
      [newStreamServer(), "HELLO"],
      [challenged().server, "HELLO_ACK"],
    ] as const) {
      expect(subject.pollTimeout()).toBe(after(10_000));
      subject.handleTimeout(after(9_999));
      expect(subject.state).toBe("handshaking");
      subject.handleTimeout(after(10_000));
      expect(closeReason(subject)).toEqual({ code: "handshake-timeout", awaiting });
      expect(subject.pollTimeout()).toBeUndefined();
    }
  });

  it("is not moved by a peer that sends one byte a second", () => {
    const server = newStreamServer();
    const hello = new RawClient().hello();
    for (let second = 0; second < 10; second++) {
      server.handleBytes(hello.subarray(second, second + 1), after(second * 1_000));
      server.handleTimeout(after(second * 1_000));
    }
    server.handleTimeout(after(10_000));
    expect(closeReason(server)).toEqual({ code: "handshake-timeout", awaiting: "HELLO" });
  });

  it("is the one that was set", () => {
    const timing = { handshakeTimeoutMs: 250, keepaliveMs: 1_000, idleTimeoutMs: 2_000 };
    expect(newStreamClient({ client: { timing } }).pollTimeout()).toBe(after(250));
  });
});

describe("an end before the session", () => {
  it("by the transport says what was waited for", () => {
    const { server } = challenged();
    server.handleEnd();
    expect(closeReason(server)).toEqual({ code: "transport-ended", during: "handshake", awaiting: "HELLO_ACK" });
  });

  it("by close() says nothing to the peer", () => {
    const client = newStreamClient();
    helloOf(client);
    client.close(START);
    expect(framesFrom(client)).toEqual([]);
    expect(closeReason(client)).toEqual({ code: "closed-locally" });
  });
});

it("the whole handshake may come in one chunk with the first message behind it", () => {
  const { server, peer, helloAck } = challenged();
  server.provideKeys([testPsk()], START);
  server.handleBytes(helloAck, START);
  const raw = peer.finish(onlyFrame(framesFrom(server)));
  server.handleBytes(concatBytes(raw.seal("DATA", 0, filled(1, 7)), raw.seal("PING", 1)), START);
  expect(eventsFrom(server).map(({ type }) => type)).toEqual(["keys-needed", "established", "proven", "message"]);
  expect(cutFrames(server.pollTransmit() as Uint8Array).map(typeOf)).toEqual(["PONG"]);
});

it("a key of 64 bytes and its prefix with zeros behind are the same to a handshake, as to HMAC", () => {
  const short = new Secret(filled(16, 3));
  const padded = new Secret(concatBytes(filled(16, 3), filled(48, 0)));
  const { server, helloAck } = challenged(new RawClient({ psk: short }));
  server.provideKeys([padded], START);
  server.handleBytes(helloAck, START);
  expect(server.state).toBe("established");
});
