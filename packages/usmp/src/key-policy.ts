import { type CryptoProvider, checkPsk, constantTimeEqual, Secret, UsageError } from "@usmp/protocol";
import type { Psk } from "./api.ts";

/** The key that the field's examples carry (P7). */
const DEVELOPMENT_KEY = "usmp-dev-psk-change-me-before-prod";

/** A key that this library uses: `owned` when it made the copy and must wipe it. */
export interface UsableKey {
  readonly secret: Secret;
  readonly owned: boolean;
}

/**
 * Takes a key as the application gave it. Throws UsageError "invalid-key" under 16 bytes, and "weak-key" for the well-known
 * development key unless `development` is set.
 */
export function usableKey(psk: Psk, crypto: CryptoProvider, development: boolean): UsableKey {
  if (!(psk instanceof Secret || psk instanceof Uint8Array)) {
    throw new UsageError("invalid-key", `psk must be bytes or a Secret, not ${psk === null ? "null" : typeof psk}`);
  }
  const key = psk instanceof Secret ? { secret: psk, owned: false } : { secret: new Secret(psk), owned: true };
  try {
    checkPsk(key.secret);
    if (!development) refuseDevelopmentKey(key.secret, crypto);
  } catch (error) {
    if (key.owned) key.secret.wipe();
    throw error;
  }
  return key;
}

/** Compares as HMAC sees keys: K, K||00 and the hash of a longer one are the same key, so equal MACs mean equal keys. */
function refuseDevelopmentKey(secret: Secret, crypto: CryptoProvider): void {
  const known = new Secret(Uint8Array.from(DEVELOPMENT_KEY, (character) => character.charCodeAt(0)));
  const label = [Uint8Array.of(1)];
  if (constantTimeEqual(crypto.hmacSha256(secret, label), crypto.hmacSha256(known, label))) {
    throw new UsageError(
      "weak-key",
      'psk is the well-known development key, which everyone has; make one with "usmp keygen", or set development: true on a bench',
    );
  }
}
