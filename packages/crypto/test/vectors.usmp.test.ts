import { readFileSync } from "node:fs";
import { type CryptoProvider, Secret, type Side, type TrafficKeys } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "./hex.ts";
import { primitiveProviders, providers } from "./providers.ts";

interface VectorFrame {
  readonly from: Side;
  readonly type: string;
  readonly frame: string;
}
interface VectorSession {
  readonly name: string;
  readonly psk: string;
  readonly device_id: string;
  readonly client_private: string;
  readonly server_private: string;
  readonly client_public: string;
  readonly server_public: string;
  readonly shared_secret: string;
  readonly challenge_nonce: string;
  readonly session_id: string;
  readonly key_c2s: string;
  readonly key_s2c: string;
  readonly handshake_frames: readonly VectorFrame[];
  readonly messages: readonly { readonly from: Side; readonly data: string }[];
  readonly session_frames: readonly VectorFrame[];
  readonly rekey?: {
    readonly by: Side;
    readonly salt: string;
    readonly key_c2s: string;
    readonly key_s2c: string;
    readonly frames: readonly VectorFrame[];
  };
  readonly bye_frame: VectorFrame;
}
interface UsmpVectors {
  readonly sessions: readonly VectorSession[];
  readonly utack: {
    readonly key: string;
    readonly cases: readonly { readonly type: number; readonly utack: string }[];
  };
  readonly low_order_public_keys: readonly string[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../protocol/test/vectors/usmp-v2.json", import.meta.url), "utf8"),
) as UsmpVectors;
const sides: readonly Side[] = ["client", "server"];

describe.each(primitiveProviders)("USMP vectors on the primitives of the $name provider", ({ primitives }) => {
  describe.each(vectors.sessions)("session: $name", (session) => {
    it("gives both public keys and the shared secret", () => {
      const client = primitives.importX25519(fromHex(session.client_private));
      const server = primitives.importX25519(fromHex(session.server_private));
      expect(toHex(client.publicKey)).toBe(session.client_public);
      expect(toHex(server.publicKey)).toBe(session.server_public);
      expect(toHex(client.exchange(server.publicKey)?.expose() ?? new Uint8Array())).toBe(session.shared_secret);
      expect(toHex(server.exchange(client.publicKey)?.expose() ?? new Uint8Array())).toBe(session.shared_secret);
    });

    it("gives the bytes of both session keys, client-to-server first", () => {
      const info = sessionInfo(session);
      const derived = primitives.hkdfSha256(fromHex(session.shared_secret), fromHex(session.challenge_nonce), info, 64);
      expect(toHex(derived.expose())).toBe(session.key_c2s + session.key_s2c);
    });
  });
});

describe.each(providers)("USMP vectors on the $name provider", ({ crypto }) => {
  describe.each(vectors.sessions)("session: $name", (session) => {
    it("gives both public keys", () => {
      expect(toHex(crypto.importKeyPair(secret(session.client_private)).publicKey)).toBe(session.client_public);
      expect(toHex(crypto.importKeyPair(secret(session.server_private)).publicKey)).toBe(session.server_public);
    });

    it("gives both proofs", () => {
      const psk = new Secret(fromHex(session.psk));
      const { challenge_nonce, device_id, client_public, server_public, session_id } = session;
      const proof = (hexParts: readonly string[]) => toHex(crypto.hmacSha256(psk, hexParts.map(fromHex)));
      expect(proof(["cdab0203", challenge_nonce, device_id, client_public, server_public])).toBe(
        payloadOf(session, "HELLO_ACK"),
      );
      expect(session_id + proof(["cdab0204", challenge_nonce, session_id, client_public, server_public])).toBe(
        payloadOf(session, "SESSION_OK"),
      );
    });

    it.each(sides)(
      "derives keys as the %s that seal and open every frame byte for byte, before and after the rekey",
      (side) => {
        checkFrames(session, side, deriveKeys(crypto, session, side));
      },
    );

    it.each(sides)("does the same with keys imported as the %s", (side) => {
      const [clientToServer, serverToClient] = [secret(session.key_c2s), secret(session.key_s2c)];
      checkFrames(
        session,
        side,
        crypto.importTrafficKeys(side, clientToServer, serverToClient, fromHex(session.session_id)),
      );
    });
  });

  it("gives the MAC of every sealed UTACK", () => {
    const keys = crypto.importTrafficKeys(
      "client",
      secret(vectors.utack.key),
      secret(vectors.utack.key),
      new Uint8Array(16),
    );
    const sealed = vectors.utack.cases.filter(({ type }) => type >= 0x05);
    expect(sealed).toHaveLength(5);
    for (const { utack } of sealed) {
      const message = fromHex(utack.slice(0, 14));
      expect(toHex(keys.transmit.acknowledgementMac(message))).toBe(utack.slice(14));
      expect(toHex(keys.receive.acknowledgementMac(message))).toBe(utack.slice(14));
    }
  });

  it.each(vectors.low_order_public_keys)("derives no keys from the low-order public key %s", (publicKey) => {
    const [session] = vectors.sessions as [VectorSession];
    expect(deriveKeys(crypto, { ...session, server_public: publicKey }, "client")).toBeUndefined();
    expect(deriveKeys(crypto, { ...session, client_public: publicKey }, "server")).toBeUndefined();
    // The top bit is not part of the coordinate (RFC 7748 section 5): the same point again.
    const flipped = fromHex(publicKey);
    flipped[31] = (flipped[31] as number) ^ 0x80;
    expect(deriveKeys(crypto, { ...session, server_public: toHex(flipped) }, "client")).toBeUndefined();
  });
});

function deriveKeys(crypto: CryptoProvider, session: VectorSession, side: Side): TrafficKeys | undefined {
  return crypto.deriveTrafficKeys({
    side,
    keyPair: crypto.importKeyPair(secret(side === "client" ? session.client_private : session.server_private)),
    peerPublicKey: fromHex(side === "client" ? session.server_public : session.client_public),
    salt: fromHex(session.challenge_nonce),
    info: sessionInfo(session),
    sessionId: fromHex(session.session_id),
  });
}

/** Walks a whole recorded session: first epoch, REKEY under its keys, second epoch, BYE. */
function checkFrames(session: VectorSession, side: Side, first: TrafficKeys | undefined): void {
  if (first === undefined) throw new Error("no traffic keys were derived");
  const received: Record<Side, string> = { client: "", server: "" };
  for (const frame of session.session_frames) received[frame.from] += checkFrame(frame, side, first);
  for (const from of sides) {
    const sent = session.messages.filter((message) => message.from === from).map(({ data }) => data);
    expect(received[from]).toBe(sent.join(""));
  }
  let latest = first;
  if (session.rekey !== undefined) {
    const { by, salt, frames } = session.rekey;
    const [rekeyFrame, ...rest] = frames as [VectorFrame, ...VectorFrame[]];
    expect(checkFrame(rekeyFrame, side, first)).toBe(salt);
    const info = Buffer.concat([Buffer.from("usmp-rekey"), fromHex(session.session_id)]);
    latest = first.next(by === side ? "us" : "peer", fromHex(salt), info);
    for (const frame of rest) checkFrame(frame, side, latest);
  }
  expect(checkFrame(session.bye_frame, side, latest)).toBe("");
}

/** Checks one recorded frame with the key of its direction, both ways; answers its plaintext in hex. */
function checkFrame({ from, frame: hex }: VectorFrame, side: Side, keys: TrafficKeys): string {
  const key = from === side ? keys.transmit : keys.receive;
  const frame = fromHex(hex);
  const plaintext = new Uint8Array(frame.length - 40);
  expect(key.open(frame, plaintext)).toBe(true);
  expect(toHex(frame)).toBe(hex);
  frame.set(plaintext, 24);
  frame.fill(0, frame.length - 16);
  key.seal(frame);
  expect(toHex(frame)).toBe(hex);
  return toHex(plaintext);
}

function payloadOf(session: VectorSession, type: string): string {
  const frame = session.handshake_frames.find((candidate) => candidate.type === type);
  return (frame as VectorFrame).frame.slice(24);
}

function sessionInfo({ client_public, server_public }: VectorSession): Uint8Array {
  return Buffer.concat([Buffer.from("usmp-v2"), fromHex(client_public), fromHex(server_public)]);
}

function secret(hex: string): Secret {
  return new Secret(fromHex(hex));
}
