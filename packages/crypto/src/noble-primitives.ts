import { gcm } from "@noble/ciphers/aes.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { constants, Secret } from "@usmp/protocol";
import { type Primitives, type SymmetricKey, X25519KeyPair } from "./primitives.ts";

/**
 * The primitives of the noble libraries: plain JavaScript, for browsers and other engines without node:crypto.
 *
 * What wiping is worth here: our copies of keys lie in ArrayBuffers of their own and are zeroed; noble zeroes its AES key schedules,
 * HMAC pads and hash states. Out of everyone's reach are the values of the language. noble's X25519 computes with BigInt and converts
 * through hexadecimal text, so private keys and shared secrets stay in freed heap memory until later allocations overwrite them
 * (test/memory finds 16-byte pieces before, and none after, such allocations). BigInt is not constant-time either. Where node:crypto
 * exists, it is the better choice.
 */
export const noblePrimitives: Primitives = {
  name: "noble",

  randomFill(out: Uint8Array): void {
    for (let start = 0; start < out.length; start += RANDOM_QUOTA) {
      globalThis.crypto.getRandomValues(out.subarray(start, start + RANDOM_QUOTA));
    }
  },

  generateX25519(): X25519KeyPair {
    const privateKey = new Uint8Array(new ArrayBuffer(PRIVATE_KEY_LENGTH));
    this.randomFill(privateKey);
    return new NobleKeyPair(Secret.adopt(privateKey));
  },

  importX25519(privateKey: Uint8Array): X25519KeyPair {
    return new NobleKeyPair(new Secret(privateKey));
  },

  hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Secret {
    const onHeap = hkdf(sha256, ikm, salt, info, length);
    const secret = new Secret(onHeap);
    onHeap.fill(0);
    return secret;
  },

  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
    const mac = hmac.create(sha256, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  },

  symmetricKey(key: Uint8Array): SymmetricKey {
    return new NobleSymmetricKey(Secret.adopt(key));
  },
};

const PRIVATE_KEY_LENGTH = 32;

/** The most bytes that one getRandomValues() call may ask for (W3C Web Cryptography, section 10.1.1). */
const RANDOM_QUOTA = 65_536;

class NobleKeyPair extends X25519KeyPair {
  readonly publicKey: Uint8Array;
  readonly #privateKey: Secret;

  /** Takes `privateKey` over. */
  constructor(privateKey: Secret) {
    super();
    this.#privateKey = privateKey;
    this.publicKey = x25519.getPublicKey(privateKey.expose());
  }

  exchange(peerPublicKey: Uint8Array): Secret | undefined {
    const privateKey = this.#privateKey.expose();
    try {
      const onHeap = x25519.getSharedSecret(privateKey, peerPublicKey);
      const shared = new Secret(onHeap);
      onHeap.fill(0);
      return shared;
    } catch (error) {
      if (isMessage(error, LOW_ORDER)) return undefined;
      throw error;
    }
  }

  wipe(): void {
    this.#privateKey.wipe();
  }
}

class NobleSymmetricKey implements SymmetricKey {
  readonly #key: Secret;

  constructor(key: Secret) {
    this.#key = key;
  }

  seal(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array): void {
    text.set(gcm(this.#key.expose(), nonce, aad).encrypt(text.subarray(0, text.length - constants.TAG_LENGTH)));
  }

  open(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array, out: Uint8Array): boolean {
    try {
      out.set(gcm(this.#key.expose(), nonce, aad).decrypt(text));
      return true;
    } catch (error) {
      if (isMessage(error, BAD_TAG)) return false;
      throw error;
    }
  }

  hmacSha256(message: Uint8Array): Uint8Array {
    return hmac(sha256, this.#key.expose(), message);
  }

  wipe(): void {
    this.#key.wipe();
  }
}

// noble's errors have no codes. The versions are pinned, and the vector tests fail when a text changes.
const LOW_ORDER = "invalid private or public key received";
const BAD_TAG = "aes-gcm: invalid tag";

function isMessage(error: unknown, message: string): boolean {
  return error instanceof Error && error.message === message;
}
