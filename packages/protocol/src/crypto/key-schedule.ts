import { concatBytes } from "../wire/bytes.ts";
import type { Secret } from "./secret.ts";

const SESSION_LABEL = ascii("usmp-v2");
const REKEY_LABEL = ascii("usmp-rekey");

/** HKDF info of a session's first keys: both public keys are bound into them (P4). Spec section 3. */
export function sessionKeyInfo(clientPublicKey: Uint8Array, serverPublicKey: Uint8Array): Uint8Array {
  return concatBytes(SESSION_LABEL, clientPublicKey, serverPublicKey);
}

/** HKDF info of the keys that a REKEY begins. Spec section 5. */
export function rekeyInfo(sessionId: Uint8Array): Uint8Array {
  return concatBytes(REKEY_LABEL, sessionId);
}

/**
 * The form in which HMAC-SHA256 sees a key: zero-padded to 64 bytes, or hashed when longer (RFC 2104), so K and K||00 are one.
 * Two keys are the same key exactly when these are equal. The result is as secret as the key.
 */
export function canonicalHmacKey(key: Uint8Array, sha256: (data: Uint8Array) => Uint8Array): Uint8Array {
  const canonical = new Uint8Array(new ArrayBuffer(64));
  canonical.set(key.length > 64 ? sha256(key) : key);
  return canonical;
}

/** All zero, read without a branch on its bytes. */
export function isAllZero(secret: Secret): boolean {
  let any = 0;
  for (const byte of secret.expose()) any |= byte;
  return any === 0;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
