import { constantTimeEqual } from "../crypto/equal.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Secret } from "../crypto/secret.ts";
import { clientProof, type Transcript } from "./transcript.ts";

/**
 * A client's proof that was refused, to try more keys of its owner's on: so that an operator can be told which wrong key a device holds.
 * It never admits anybody. What it keeps is enough to search weak keys offline, so it shows nothing of it and its holder wipes it soon.
 */
export class ProofTrial {
  readonly #crypto: CryptoProvider;
  #tried: { readonly proof: Uint8Array; readonly transcript: Transcript } | undefined;

  constructor(crypto: CryptoProvider, proof: Uint8Array, transcript: Transcript) {
    this.#crypto = crypto;
    this.#tried = { proof, transcript };
  }

  /** True when the proof was made with this key; false for any once wiped. */
  matches(key: Secret): boolean {
    if (this.#tried === undefined) return false;
    const { proof, transcript } = this.#tried;
    return constantTimeEqual(proof, clientProof(this.#crypto, key, transcript));
  }

  /** Moves what is tried out of this trial, which is wiped to the caller then: for another process of the same owner. */
  take(): { readonly proof: Uint8Array; readonly transcript: Transcript } | undefined {
    const tried = this.#tried;
    this.#tried = undefined;
    return tried;
  }

  /** Idempotent. */
  wipe(): void {
    this.#tried?.proof.fill(0);
    this.#tried = undefined;
  }
}
