import {
  type CryptoProvider,
  constants,
  type KeyPair,
  type RecordKey,
  Secret,
  type TrafficKeyRequest,
  type TrafficKeys,
  writeCrc,
} from "@usmp/protocol";
import type { RandomSource } from "./seeded-crypto.ts";

const { CRC_OFFSET, HEADER_LENGTH, GCM_NONCE_LENGTH, TAG_LENGTH, UTACK_MAC_LENGTH } = constants;
const TEXT_OFFSET = HEADER_LENGTH + GCM_NONCE_LENGTH;
const KEY_LENGTH = 32;

/**
 * A CryptoProvider that keeps every shape and every rule of a real one, and no secret: a session frame costs half a microsecond
 * instead of ten, so that simulations can run by the million. Tags are 64 bits of a keyed hash that any change of the frame
 * changes; key agreement commutes; epochs derive from each other. Someone who computes can forge all of it: for simulations whose
 * attackers only copy, damage and invent.
 */
export function toyCrypto(random: RandomSource): CryptoProvider {
  return new ToyProvider(random);
}

class ToyProvider implements CryptoProvider {
  readonly name = "toy";
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  randomFill(out: Uint8Array): void {
    this.#random.fill(out);
  }

  generateKeyPair(): KeyPair {
    const privateKey = new Uint8Array(KEY_LENGTH);
    this.#random.fill(privateKey);
    return new ToyKeyPair(privateKey);
  }

  importKeyPair(privateKey: Secret): KeyPair {
    return new ToyKeyPair(privateKey.expose());
  }

  hmacSha256(key: Secret, parts: readonly Uint8Array[]): Uint8Array {
    return digest(key.expose(), parts, KEY_LENGTH);
  }

  deriveTrafficKeys({ side, keyPair, peerPublicKey, salt, info }: TrafficKeyRequest): TrafficKeys | undefined {
    const shared = (keyPair as ToyKeyPair).exchange(peerPublicKey);
    if (shared.every((byte) => byte === 0)) return undefined;
    return new ToyTrafficKeys(digest(shared, [salt, info], 2 * KEY_LENGTH), side === "client");
  }

  importTrafficKeys(...[side, clientToServer, serverToClient]: Parameters<CryptoProvider["importTrafficKeys"]>) {
    const derived = new Uint8Array(2 * KEY_LENGTH);
    derived.set(clientToServer.expose());
    derived.set(serverToClient.expose(), KEY_LENGTH);
    return new ToyTrafficKeys(derived, side === "client");
  }
}

class ToyKeyPair implements KeyPair {
  readonly publicKey: Uint8Array;
  #wiped = false;

  constructor(privateKey: Uint8Array) {
    this.publicKey = digest(privateKey, [], KEY_LENGTH);
  }

  exchange(peerPublicKey: Uint8Array): Uint8Array {
    if (this.#wiped) throw new Error("a key pair was used after it was wiped");
    return this.publicKey.map((byte, i) => byte ^ (peerPublicKey[i] as number));
  }

  wipe(): void {
    this.#wiped = true;
  }
}

class ToyTrafficKeys implements TrafficKeys {
  readonly transmit: ToyRecordKey;
  readonly receive: ToyRecordKey;
  readonly #derived: Secret;
  readonly #transmitIsFirst: boolean;

  constructor(derived: Uint8Array, transmitIsFirst: boolean) {
    const first = new ToyRecordKey(derived.subarray(0, KEY_LENGTH));
    const second = new ToyRecordKey(derived.subarray(KEY_LENGTH));
    this.transmit = transmitIsFirst ? first : second;
    this.receive = transmitIsFirst ? second : first;
    this.#derived = Secret.adopt(derived);
    this.#transmitIsFirst = transmitIsFirst;
  }

  next(initiator: "us" | "peer", salt: Uint8Array, info: Uint8Array): TrafficKeys {
    const derived = this.#derived.expose();
    const halves = [derived.subarray(0, KEY_LENGTH), derived.subarray(KEY_LENGTH)] as const;
    const [first, second] = (initiator === "us") === this.#transmitIsFirst ? halves : [halves[1], halves[0]];
    return new ToyTrafficKeys(digest(first, [second, salt, info], 2 * KEY_LENGTH), initiator === "us");
  }

  wipe(): void {
    this.#derived.wipe();
    this.transmit.wipe();
    this.receive.wipe();
  }
}

class ToyRecordKey implements RecordKey {
  /** Two lanes of the hash, keyed; undefined once wiped. */
  #state: readonly [number, number] | undefined;

  constructor(key: Uint8Array) {
    const lanes = new Lanes(0, 0);
    lanes.add(key, 0, key.length);
    this.#state = [lanes.a, lanes.b];
  }

  seal(frame: Uint8Array): void {
    this.#crypt(frame, frame, TEXT_OFFSET);
    frame.set(this.#tag(frame), frame.length - TAG_LENGTH);
    writeCrc(frame);
  }

  open(frame: Uint8Array, out: Uint8Array): boolean {
    const tag = this.#tag(frame);
    const at = frame.length - TAG_LENGTH;
    for (let i = 0; i < TAG_LENGTH; i++) if (tag[i] !== frame[at + i]) return false;
    this.#crypt(frame, out, 0);
    return true;
  }

  acknowledgementMac(message: Uint8Array): Uint8Array {
    const lanes = this.#lanes();
    lanes.add(message, 0, message.length);
    return lanes.finish(UTACK_MAC_LENGTH);
  }

  wipe(): void {
    this.#state = undefined;
  }

  /** The frame's text, from its own place to `offset` in `out`: xor with a stream of this key and the nonce. */
  #crypt(frame: Uint8Array, out: Uint8Array, offset: number): void {
    const lanes = this.#lanes();
    lanes.add(frame, HEADER_LENGTH, TEXT_OFFSET);
    const end = frame.length - TAG_LENGTH;
    let word = lanes.a;
    for (let i = TEXT_OFFSET; i < end; i++) {
      word = (i & 3) === 0 ? Math.imul(word ^ lanes.b, PRIME_3) + i : word >>> 8;
      out[offset + i - TEXT_OFFSET] = (frame[i] as number) ^ (word & 0xff);
    }
  }

  /** Of all but the CRC, which is written last. */
  #tag(frame: Uint8Array): Uint8Array {
    const lanes = this.#lanes();
    lanes.add(frame, 0, CRC_OFFSET);
    lanes.add(frame, HEADER_LENGTH, frame.length - TAG_LENGTH);
    return lanes.finish(TAG_LENGTH);
  }

  #lanes(): Lanes {
    if (this.#state === undefined) throw new Error("a record key was used after it was wiped");
    return new Lanes(...this.#state);
  }
}

// Odd constants of xxHash (Collet).
const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;

/** Two 32-bit lanes of a multiplicative hash. A change of one byte always changes both: every step is a bijection. */
class Lanes {
  a: number;
  b: number;

  constructor(a: number, b: number) {
    this.a = a ^ PRIME_2;
    this.b = b ^ PRIME_3;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    let { a, b } = this;
    let i = from;
    for (; i + 4 <= to; i += 4) {
      const word =
        (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24);
      a = Math.imul(rotate(a ^ word, 13), PRIME_1);
      b = Math.imul(rotate(b + word, 17), PRIME_2);
    }
    for (; i < to; i++) {
      a = Math.imul(rotate(a ^ (bytes[i] as number), 11), PRIME_3);
      b = Math.imul(rotate(b + (bytes[i] as number), 19), PRIME_1);
    }
    this.a = a ^ (to - from);
    this.b = b;
  }

  finish(length: number): Uint8Array {
    const out = new Uint8Array(length);
    let { a, b } = this;
    for (let i = 0; i < length; i += 4) {
      a = Math.imul(rotate(a, 15) ^ b, PRIME_3) + i;
      b = Math.imul(b ^ (a >>> 15), PRIME_1);
      out[i] = b;
      out[i + 1] = b >>> 8;
      out[i + 2] = b >>> 16;
      out[i + 3] = b >>> 24;
    }
    return out;
  }
}

/** A hash of the concatenation of `parts` under `key`; the cut between them does not matter, as HMAC's does not. */
function digest(key: Uint8Array, parts: readonly Uint8Array[], length: number): Uint8Array {
  const lanes = new Lanes(0, 0);
  lanes.add(key, 0, key.length);
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  lanes.add(whole, 0, whole.length);
  return lanes.finish(length);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
