import type { KeyPair, Secret } from "@usmp/protocol";

/**
 * What a provider of this package is made of: the standard primitives of spec section 1 (P1), in the shape that both
 * libraries can serve without a copy. Internal: the package exports providers only; the vector tests call these directly.
 */
export interface Primitives {
  readonly name: string;

  /** Fills `out` from the system's CSPRNG. */
  randomFill(out: Uint8Array): void;

  /** A new X25519 key pair (RFC 7748) from the system's CSPRNG. */
  generateX25519(): X25519KeyPair;

  /** The X25519 key pair of 32 private bytes, of which a copy is taken. */
  importX25519(privateKey: Uint8Array): X25519KeyPair;

  /** HKDF-SHA256 (RFC 5869). */
  hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Secret;

  /** HMAC-SHA256 (RFC 2104) over the concatenation of `parts`. */
  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;

  /** `key` (32 bytes) in the form that its library works with fastest. The bytes must stay as they are until wipe(). */
  symmetricKey(key: Uint8Array): SymmetricKey;
}

/** A class, not an interface, so that deriveTrafficKeys() can tell a key pair that it can use from a stranger's. */
export abstract class X25519KeyPair implements KeyPair {
  abstract readonly publicKey: Uint8Array;

  /** The shared secret, or undefined when it is all zero (RFC 7748 section 6.1). Throws UsageError after wipe(). */
  abstract exchange(peerPublicKey: Uint8Array): Secret | undefined;

  abstract wipe(): void;
}

/**
 * One 256-bit key, for AES-256-GCM (12-byte nonce; ciphertext and 16-byte tag in one piece, as in RFC 5116) and HMAC-SHA256.
 * Every use after wipe() throws UsageError.
 */
export interface SymmetricKey {
  /** Seals in place: `text` is the plaintext and 16 bytes of room, and becomes ciphertext and tag. */
  seal(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array): void;

  /** Opens `text` into `out`, 16 bytes shorter. Answers false, and leaves `out` alone, when the tag does not verify. */
  open(nonce: Uint8Array, aad: Uint8Array, text: Uint8Array, out: Uint8Array): boolean;

  hmacSha256(message: Uint8Array): Uint8Array;

  wipe(): void;
}
