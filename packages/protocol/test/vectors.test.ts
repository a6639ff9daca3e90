import { describe, expect, it } from "vitest";
import { providers } from "../../crypto/test/providers.ts";
import type { ConnectionEvent } from "../src/connection/events.ts";
import type { Side } from "../src/crypto/provider.ts";
import { Secret } from "../src/crypto/secret.ts";
import { crc16 } from "../src/wire/crc16.ts";
import { FrameType } from "../src/wire/frame.ts";
import { decodeUtack, encodeSealedUtack, encodeUtack } from "../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  datagramsFrom,
  newDatagramClient,
  newEndpoint,
  SERVER_ADDRESS,
  sent,
} from "./support/datagrams.ts";
import { filled, START, testPsk } from "./support/fixtures.ts";
import { fromHex, toHex } from "./support/hex.ts";
import { RawClient, RawServer } from "./support/raw-peer.ts";
import { closeReason, framesFrom, newStreamClient, newStreamServer, onlyFrame } from "./support/streams.ts";
import { allFrames, messagesFrom, peerOf, replayOverDatagrams, replayOverStream } from "./support/vector-replay.ts";
import { type VectorFrame, type VectorSession, vectors } from "./support/vectors.ts";

const replays = providers.flatMap(({ name: provider, crypto }) =>
  vectors.sessions.flatMap((session) =>
    (["client", "server"] as const).map((role) => ({ provider, crypto, role, session, name: session.name })),
  ),
);

describe("the field's sessions over a stream", () => {
  it.each(replays)("our $role, with $provider, makes and takes every frame of: $name", ({ crypto, role, session }) => {
    const { frames, events, script } = replayOverStream(role, crypto, session);

    expect(frames).toEqual(recordedFrames(session, role));
    expect(() => script.assertUsedUp()).not.toThrow();
    expectRecordedEvents(events, role, session);
  });
});

describe("the field's sessions over datagrams", () => {
  it.each(replays)(
    "our $role, with $provider, takes every frame, and makes every one of the first epoch, of: $name",
    ({ crypto, role, session }) => {
      const { frames, events, script } = replayOverDatagrams(role, crypto, session);
      const recorded = recordedFrames(session, role);

      // In the second epoch our sequence numbers go on (R5) where the field's begin again: there what is sealed is compared.
      const ofFirstEpoch = allFrames(session).filter(
        (vector) => vector.from === role && !isOfSecondEpoch(session, vector),
      );
      expect(frames.slice(0, ofFirstEpoch.length)).toEqual(recorded.slice(0, ofFirstEpoch.length));
      const contents = (hex: string) => peerOf(role, session).open(fromHex(hex), 1);
      const later = frames.slice(ofFirstEpoch.length).map(contents);
      expect(later.map(({ type, plaintext }) => ({ type, plaintext }))).toEqual(
        recorded.slice(ofFirstEpoch.length).map((hex) => {
          const { type, plaintext } = contents(hex);
          return { type, plaintext };
        }),
      );
      const firstSeq = session.session_frames.filter(({ from }) => from === role).length;
      const ownRekey = session.rekey?.by === role ? 1 : 0;
      expect(later.map(({ seq }) => seq)).toEqual(later.map((_, index) => firstSeq + ownRekey + index));

      expect(() => script.assertUsedUp()).not.toThrow();
      expectRecordedEvents(events, role, session);
    },
  );
});

describe("the field's CRC-16", () => {
  it.each(vectors.crc16)("is $crc for $input", ({ input, crc }) => {
    expect(crc16(fromHex(input)).toString(16).padStart(4, "0")).toBe(crc);
  });
});

describe.each(providers)("the field's UTACKs, with $provider", ({ crypto }) => {
  const keys = () => {
    const key = new Secret(fromHex(vectors.utack.key));
    return crypto.importTrafficKeys("client", key, key, filled(16, 0));
  };

  it.each(vectors.utack.cases)("type $type, seq $seq is $utack", ({ type, seq, utack }) => {
    const made =
      type < FrameType.DATA
        ? encodeUtack(type, seq)
        : encodeSealedUtack(type, seq, (message) => keys().receive.acknowledgementMac(message));
    expect(toHex(made)).toBe(utack);
    expect(decodeUtack(fromHex(utack))).toMatchObject({ type, seq });
  });
});

describe.each(providers)("a low-order public key, with $provider", ({ crypto }) => {
  const lowOrder = vectors.low_order_public_keys.map((key) => ({ key }));
  const weak = { code: "protocol-violation", violation: "weak-key-share", during: "handshake" };

  it.each(lowOrder)("$key from a server ends a stream client's handshake", ({ key }) => {
    const client = newStreamClient({ client: { crypto } });
    const peer = new RawServer({ publicKey: fromHex(key) });
    client.handleBytes(peer.challenge(onlyFrame(framesFrom(client))), START);
    client.handleBytes(peer.sessionOk(), START);
    expect(closeReason(client)).toEqual(weak);
  });

  it.each(lowOrder)("$key from a client ends a stream server's handshake", ({ key }) => {
    const server = newStreamServer({ server: { crypto } });
    const peer = new RawClient({ publicKey: fromHex(key) });
    server.handleBytes(peer.hello(), START);
    server.provideKeys([testPsk()], START);
    server.handleBytes(peer.answer(onlyFrame(framesFrom(server))), START);
    expect(closeReason(server)).toEqual(weak);
    expect(framesFrom(server)).toEqual([]);
  });

  it.each(lowOrder)("$key from a server ends a datagram client's handshake", ({ key }) => {
    const client = newDatagramClient({ client: { crypto } });
    const peer = new RawServer({ publicKey: fromHex(key) });
    client.handleDatagram(peer.challenge(sent(client).frames[0] as Uint8Array), SERVER_ADDRESS, START);
    client.handleDatagram(peer.sessionOk(), SERVER_ADDRESS, START);
    expect(closeReason(client)).toEqual(weak);
  });

  it.each(lowOrder)("$key from a client ends a datagram server's handshake", ({ key }) => {
    const endpoint = newEndpoint({ server: { crypto } });
    const peer = new RawClient({ publicKey: fromHex(key) });
    const { machine, challenge } = challengedServer(endpoint, peer);
    machine.provideKeys([testPsk()], START);
    endpoint.handleDatagram(peer.answer(challenge), CLIENT_ADDRESS, START);
    expect(closeReason(machine)).toEqual(weak);
    expect(datagramsFrom(machine)).toEqual([]);
    expect(endpoint.sessionCount + endpoint.handshakeCount).toBe(0);
  });
});

function recordedFrames(session: VectorSession, from: Side): string[] {
  return allFrames(session).flatMap((vector) => (vector.from === from ? [vector.frame] : []));
}

function isOfSecondEpoch(session: VectorSession, vector: VectorFrame): boolean {
  const second = session.rekey === undefined ? [] : [...session.rekey.frames.slice(1), session.bye_frame];
  return second.includes(vector);
}

function expectRecordedEvents(events: readonly ConnectionEvent[], role: Side, session: VectorSession): void {
  const other = role === "client" ? "server" : "client";
  expect(events.flatMap((event) => (event.type === "message" ? [toHex(event.data)] : []))).toEqual(
    messagesFrom(session, other).map(toHex),
  );
  expect(events.find(({ type }) => type === "established")).toMatchObject({
    deviceId: fromHex(session.device_id),
    sessionId: fromHex(session.session_id),
  });
  const pinged = session.session_frames.some(({ from, type }) => from === role && type === "PING");
  expect(events.filter(({ type }) => type === "pong")).toHaveLength(pinged ? 1 : 0);
  const code = role === session.bye_frame.from ? "closed-locally" : "closed-by-peer";
  expect(events.at(-1)).toMatchObject({ type: "closed", reason: { code } });
}
