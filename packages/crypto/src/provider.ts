import {
  type CryptoProvider,
  constants,
  type KeyPair,
  type Secret,
  type Side,
  type TrafficKeyRequest,
  type TrafficKeys,
  UsageError,
} from "@usmp/protocol";
import { type Primitives, X25519KeyPair } from "./primitives.ts";
import { DerivedTrafficKeys, joinKeys, TRAFFIC_KEY_LENGTH, TRAFFIC_KEYS_LENGTH } from "./traffic-keys.ts";

const PRIVATE_KEY_LENGTH = 32;

/** The CryptoProvider that a set of primitives makes. */
export function createProvider(primitives: Primitives): CryptoProvider {
  return new PrimitivesProvider(primitives);
}

class PrimitivesProvider implements CryptoProvider {
  readonly #primitives: Primitives;

  constructor(primitives: Primitives) {
    this.#primitives = primitives;
  }

  get name(): string {
    return this.#primitives.name;
  }

  randomFill(out: Uint8Array): void {
    this.#primitives.randomFill(out);
  }

  generateKeyPair(): KeyPair {
    return this.#primitives.generateX25519();
  }

  importKeyPair(privateKey: Secret): KeyPair {
    const bytes = privateKey.expose();
    requireLength("privateKey", bytes, PRIVATE_KEY_LENGTH);
    return this.#primitives.importX25519(bytes);
  }

  hmacSha256(key: Secret, parts: readonly Uint8Array[]): Uint8Array {
    return this.#primitives.hmacSha256(key.expose(), parts);
  }

  deriveTrafficKeys({ side, keyPair, peerPublicKey, salt, info }: TrafficKeyRequest): TrafficKeys | undefined {
    if (!(keyPair instanceof X25519KeyPair)) {
      throw new UsageError(
        "invalid-key",
        "keyPair was made by another provider: derive the keys with the provider that made it",
      );
    }
    requireLength("peerPublicKey", peerPublicKey, constants.PUBLIC_KEY_LENGTH);
    const shared = keyPair.exchange(peerPublicKey);
    if (shared === undefined) return undefined;
    try {
      const derived = this.#primitives.hkdfSha256(shared.expose(), salt, info, TRAFFIC_KEYS_LENGTH);
      return new DerivedTrafficKeys(this.#primitives, derived, side === "client");
    } finally {
      shared.wipe();
    }
  }

  importTrafficKeys(side: Side, clientToServer: Secret, serverToClient: Secret): TrafficKeys {
    requireLength("clientToServer", clientToServer.expose(), TRAFFIC_KEY_LENGTH);
    requireLength("serverToClient", serverToClient.expose(), TRAFFIC_KEY_LENGTH);
    const derived = joinKeys(clientToServer.expose(), serverToClient.expose());
    return new DerivedTrafficKeys(this.#primitives, derived, side === "client");
  }
}

function requireLength(field: string, bytes: Uint8Array, length: number): void {
  if (bytes.length === length) return;
  throw new UsageError(
    "invalid-key",
    `${field} has ${bytes.length} bytes; an X25519 or AES-256 key has ${length}: pass the whole raw key`,
  );
}
