import {
  type CryptoProvider,
  constants,
  copyBytes,
  type KeyPair,
  type Secret,
  type Side,
  type TrafficKeyRequest,
  type TrafficKeys,
  UsageError,
} from "@usmp/protocol";
import type { Addon } from "./addon.ts";
import { Backstop } from "./backstop.ts";
import { NativeKeyPair } from "./key-pair.ts";
import { join, lengthOf, scratchFor } from "./scratch.ts";
import { NativeTrafficKeys } from "./traffic-keys.ts";

const KEY_LENGTH = 32;
const MAC_LENGTH = 32;
/** The session's part of every nonce: the first half of its id (spec section 4). */
const NONCE_PREFIX_LENGTH: number = constants.SESSION_ID_LENGTH / 2;

/** The CryptoProvider over the addon. Nothing secret comes out of it: keys are made, used and wiped in Rust. */
export class NativeCrypto implements CryptoProvider {
  readonly name = "native";
  readonly #addon: Addon;
  readonly #pairs: Backstop;
  readonly #traffic: Backstop;

  constructor(addon: Addon) {
    this.#addon = addon;
    this.#pairs = new Backstop((handle) => addon.wipeKeyPair(handle));
    this.#traffic = new Backstop((handle) => addon.wipeTrafficKeys(handle));
  }

  randomFill(out: Uint8Array): void {
    this.#addon.randomFill(out);
  }

  generateKeyPair(): KeyPair {
    const scratch = scratchFor(constants.PUBLIC_KEY_LENGTH);
    return new NativeKeyPair(this.#addon, this.#pairs, this.#addon.generateKeyPair(scratch), scratch);
  }

  importKeyPair(privateKey: Secret): KeyPair {
    const bytes = privateKey.expose();
    requireLength("privateKey", bytes, KEY_LENGTH);
    const scratch = scratchFor(constants.PUBLIC_KEY_LENGTH);
    return new NativeKeyPair(this.#addon, this.#pairs, this.#addon.importKeyPair(bytes, scratch), scratch);
  }

  hmacSha256(key: Secret, parts: readonly Uint8Array[]): Uint8Array {
    const length = lengthOf(parts);
    const scratch = scratchFor(Math.max(length, MAC_LENGTH));
    join(scratch, parts);
    this.#addon.hmacSha256(key.expose(), scratch, length);
    return copyBytes(scratch, 0, MAC_LENGTH);
  }

  deriveTrafficKeys(request: TrafficKeyRequest): TrafficKeys | undefined {
    const { side, keyPair, peerPublicKey, salt, info, sessionId } = request;
    if (!(keyPair instanceof NativeKeyPair)) {
      throw new UsageError(
        "invalid-key",
        "keyPair was made by another provider: derive the keys with the provider that made it",
      );
    }
    requireLength("peerPublicKey", peerPublicKey, constants.PUBLIC_KEY_LENGTH);
    const parts = [peerPublicKey, sessionId.subarray(0, NONCE_PREFIX_LENGTH), salt, info];
    const scratch = scratchFor(lengthOf(parts));
    join(scratch, parts);
    const isClient = side === "client";
    const handle = this.#addon.deriveTrafficKeys(keyPair.handle, isClient, scratch, salt.length, info.length);
    return handle === 0 ? undefined : new NativeTrafficKeys(this.#addon, this.#traffic, handle);
  }

  importTrafficKeys(side: Side, clientToServer: Secret, serverToClient: Secret, sessionId: Uint8Array): TrafficKeys {
    const [first, second] = [clientToServer.expose(), serverToClient.expose()];
    requireLength("clientToServer", first, KEY_LENGTH);
    requireLength("serverToClient", second, KEY_LENGTH);
    const prefix = sessionId.subarray(0, NONCE_PREFIX_LENGTH);
    const handle = this.#addon.importTrafficKeys(first, second, side === "client", prefix);
    return new NativeTrafficKeys(this.#addon, this.#traffic, handle);
  }
}

function requireLength(field: string, bytes: Uint8Array, length: number): void {
  if (bytes.length === length) return;
  throw new UsageError(
    "invalid-key",
    `${field} has ${bytes.length} bytes; an X25519 or AES-256 key has ${length}: pass the whole raw key`,
  );
}
