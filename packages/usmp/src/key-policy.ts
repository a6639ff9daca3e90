import { Secret, UsageError } from "@usmp/protocol";
import type { LabelledPsk, Psk } from "./api.ts";
import { admitPsk } from "./psk.ts";

/** A key that this library uses: `owned` when it made the copy and must wipe it. */
export interface UsableKey {
  readonly secret: Secret;
  readonly owned: boolean;
  readonly label?: number;
}

/** Takes a candidate key of a look-up. Throws as usableKey() does; then a labelled one is wiped. */
export function candidateKey(given: Psk | LabelledPsk, development: boolean): UsableKey {
  if (given instanceof Secret || given instanceof Uint8Array || !(given?.psk instanceof Secret)) {
    return usableKey(given as Psk, development);
  }
  try {
    return { ...usableKey(given.psk, development), owned: true, label: given.label };
  } catch (error) {
    given.psk.wipe();
    throw error;
  }
}

/** Takes a key as the application gave it. Throws UsageError "invalid-key" or "weak-key", as admitPsk() does. */
export function usableKey(psk: Psk, development: boolean): UsableKey {
  if (psk instanceof Secret) {
    admitPsk(psk, { development });
    return { secret: psk, owned: false };
  }
  if (!(psk instanceof Uint8Array)) {
    throw new UsageError("invalid-key", `psk must be bytes or a Secret, not ${psk === null ? "null" : typeof psk}`);
  }
  const secret = new Secret(psk);
  try {
    admitPsk(secret, { development });
  } catch (error) {
    secret.wipe();
    throw error;
  }
  return { secret, owned: true };
}
