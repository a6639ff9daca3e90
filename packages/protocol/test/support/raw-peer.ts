import { defaultCrypto } from "@usmp/crypto";
import { rekeyInfo, sessionKeyInfo } from "../../src/crypto/key-schedule.ts";
import type { CryptoProvider, KeyPair, Side, TrafficKeys } from "../../src/crypto/provider.ts";
import type { Secret } from "../../src/crypto/secret.ts";
import { clientProof, serverProof } from "../../src/handshake/transcript.ts";
import { sealedLength, sealFrame } from "../../src/record/protection.ts";
import { concatBytes, readU32 } from "../../src/wire/bytes.ts";
import { encodeFrame, FrameType, type FrameTypeName, frameTypeName, writeCrc } from "../../src/wire/frame.ts";
import { encodeSealedUtack } from "../../src/wire/utack.ts";
import { DEVICE_ID, randomBytes, testPsk } from "./fixtures.ts";

const EMPTY = new Uint8Array(0);

export interface OpenedFrame {
  readonly type: FrameTypeName;
  readonly seq: number;
  readonly plaintext: Uint8Array;
}

/** The other end of a session, by hand: it seals what a test tells it to, in order or out of it, under any epoch. */
export class RawSession {
  readonly sessionId: Uint8Array;
  readonly epochs: TrafficKeys[];

  constructor(sessionId: Uint8Array, keys: TrafficKeys) {
    this.sessionId = sessionId;
    this.epochs = [keys];
  }

  /** A sealed frame, under the newest epoch if none is named. */
  seal(type: FrameTypeName, seq: number, plaintext: Uint8Array = EMPTY, epoch: number = this.newest): Uint8Array {
    const frame = new Uint8Array(sealedLength(plaintext.length));
    sealFrame(frame, this.#keys(epoch).transmit, this.sessionId, FrameType[type], seq, plaintext);
    return frame;
  }

  open(frame: Uint8Array, epoch: number = this.newest): OpenedFrame {
    const plaintext = new Uint8Array(frame.length - sealedLength(0));
    if (!this.#keys(epoch).receive.open(frame, plaintext)) throw new Error(`not sealed under epoch ${epoch}`);
    return { type: typeOf(frame), seq: seqOf(frame), plaintext };
  }

  /** The UTACK of a frame that the machine sent. */
  utack(frame: Uint8Array, epoch: number = this.newest): Uint8Array {
    const { receive } = this.#keys(epoch);
    return encodeSealedUtack(frame[3] as number, seqOf(frame), (message) => receive.acknowledgementMac(message));
  }

  /** The UTACK that the machine owes for a frame of ours. */
  expectedUtack(type: FrameTypeName, seq: number, epoch: number = this.newest): Uint8Array {
    const { transmit } = this.#keys(epoch);
    return encodeSealedUtack(FrameType[type], seq, (message) => transmit.acknowledgementMac(message));
  }

  /** Derives the epoch that a REKEY begins, and answers its number; it becomes the newest. */
  rekey(initiator: "us" | "peer", salt: Uint8Array, base: number = this.newest): number {
    this.epochs.push(this.#keys(base).next(initiator, salt, rekeyInfo(this.sessionId)));
    return this.newest;
  }

  get newest(): number {
    return this.epochs.length - 1;
  }

  #keys(epoch: number): TrafficKeys {
    const keys = this.epochs[epoch];
    if (keys === undefined) throw new Error(`there is no epoch ${epoch}`);
    return keys;
  }
}

interface RawOptions {
  readonly crypto?: CryptoProvider;
  readonly psk?: Secret;
  readonly deviceId?: Uint8Array;
  /** Sent in place of the key pair's own. */
  readonly publicKey?: Uint8Array;
}

/** A client's half of the handshake, frame by frame, written apart from the machines under test. */
export class RawClient {
  readonly publicKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #psk: Secret;
  readonly #keyPair: KeyPair;
  #nonce: Uint8Array = EMPTY;
  #serverPublicKey: Uint8Array = EMPTY;

  constructor({ crypto = defaultCrypto(), psk = testPsk(), deviceId = DEVICE_ID, publicKey }: RawOptions = {}) {
    this.#crypto = crypto;
    this.#psk = psk;
    this.deviceId = deviceId;
    this.#keyPair = crypto.generateKeyPair();
    this.publicKey = publicKey ?? this.#keyPair.publicKey;
  }

  hello(cookie: Uint8Array = EMPTY): Uint8Array {
    return encodeFrame(
      FrameType.HELLO,
      cookie.length === 0 ? 0 : 1,
      concatBytes(this.deviceId, this.publicKey, cookie),
    );
  }

  /** Reads CHALLENGE and answers HELLO_ACK. */
  answer(challenge: Uint8Array): Uint8Array {
    const payload = payloadOfBytes(challenge);
    this.#nonce = payload.slice(0, 32);
    this.#serverPublicKey = payload.slice(32);
    return encodeFrame(FrameType.HELLO_ACK, 2, clientProof(this.#crypto, this.#psk, this.#transcript));
  }

  /** Reads SESSION_OK, checks its proof, and derives the session. */
  finish(sessionOk: Uint8Array): RawSession {
    const payload = payloadOfBytes(sessionOk);
    const sessionId = payload.slice(0, 16);
    const proof = serverProof(this.#crypto, this.#psk, this.#transcript, sessionId);
    if (Buffer.compare(proof, payload.subarray(16)) !== 0) throw new Error("SESSION_OK carries a wrong proof");
    const { clientPublicKey, serverPublicKey, nonce } = this.#transcript;
    return deriveSession(
      this.#crypto,
      "client",
      this.#keyPair,
      serverPublicKey,
      nonce,
      sessionKeyInfo(clientPublicKey, serverPublicKey),
      sessionId,
    );
  }

  get #transcript(): ReturnType<typeof transcriptOf> {
    return transcriptOf(this.deviceId, this.#nonce, this.publicKey, this.#serverPublicKey);
  }
}

/** A server's half of the handshake, frame by frame. */
export class RawServer {
  readonly publicKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #psk: Secret;
  readonly #keyPair: KeyPair;
  #hello: Uint8Array = EMPTY;

  constructor({ crypto = defaultCrypto(), psk = testPsk(), publicKey }: RawOptions = {}) {
    this.#crypto = crypto;
    this.#psk = psk;
    this.#keyPair = crypto.generateKeyPair();
    this.publicKey = publicKey ?? this.#keyPair.publicKey;
    this.nonce = randomBytes(32);
    this.sessionId = randomBytes(16);
  }

  /** Reads HELLO and answers CHALLENGE. */
  challenge(hello: Uint8Array): Uint8Array {
    this.#hello = payloadOfBytes(hello).slice();
    return encodeFrame(FrameType.CHALLENGE, 0, concatBytes(this.nonce, this.publicKey));
  }

  /** SESSION_OK, with a proof under `psk`. */
  sessionOk(psk: Secret = this.#psk): Uint8Array {
    const proof = serverProof(this.#crypto, psk, this.#transcript, this.sessionId);
    return encodeFrame(FrameType.SESSION_OK, 0, concatBytes(this.sessionId, proof));
  }

  /** True when HELLO_ACK proves the key. */
  accepts(helloAck: Uint8Array): boolean {
    const proof = clientProof(this.#crypto, this.#psk, this.#transcript);
    return Buffer.compare(proof, payloadOfBytes(helloAck)) === 0;
  }

  session(): RawSession {
    const { clientPublicKey, serverPublicKey, nonce } = this.#transcript;
    const info = sessionKeyInfo(clientPublicKey, serverPublicKey);
    return deriveSession(this.#crypto, "server", this.#keyPair, clientPublicKey, nonce, info, this.sessionId);
  }

  get #transcript(): ReturnType<typeof transcriptOf> {
    return transcriptOf(this.#hello.slice(0, 6), this.nonce, this.#hello.slice(6, 38), this.publicKey);
  }
}

export function seqOf(frame: Uint8Array): number {
  return readU32(frame, 4);
}

export function typeOf(frame: Uint8Array): FrameTypeName {
  const name = frameTypeName(frame[3] as number);
  if (name === undefined) throw new Error(`type byte ${frame[3]} names no frame`);
  return name;
}

export function payloadOfBytes(frame: Uint8Array): Uint8Array {
  return frame.subarray(12);
}

/** A copy with one byte changed and the CRC made good again: what a tamperer who knows the format sends. */
export function tampered(frame: Uint8Array, offset: number, mask = 0x01): Uint8Array {
  const copy = frame.slice();
  copy[offset] = (copy[offset] as number) ^ mask;
  writeCrc(copy);
  return copy;
}

function transcriptOf(
  deviceId: Uint8Array,
  nonce: Uint8Array,
  clientPublicKey: Uint8Array,
  serverPublicKey: Uint8Array,
) {
  return { deviceId, nonce, clientPublicKey, serverPublicKey };
}

function deriveSession(
  crypto: CryptoProvider,
  side: Side,
  keyPair: KeyPair,
  peerPublicKey: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  sessionId: Uint8Array,
): RawSession {
  const keys = crypto.deriveTrafficKeys({ side, keyPair, peerPublicKey, salt, info, sessionId });
  if (keys === undefined) throw new Error("the shared secret is all zero");
  return new RawSession(sessionId, keys);
}
