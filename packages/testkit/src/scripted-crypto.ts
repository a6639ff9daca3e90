import type { CryptoProvider } from "@usmp/protocol";
import { type RandomSource, withRandomness } from "./seeded-crypto.ts";

/** What the random parts of a session shall be, so that every byte of it is known beforehand. */
export interface CryptoScript {
  /** X25519 private keys, 32 bytes each, in the order in which key pairs are made. */
  readonly privateKeys?: readonly Uint8Array[] | undefined;
  /**
   * Challenge nonce and rekey salts (32 bytes), session id (16) and so on: each request gets the first one left of its length, so
   * only values of one length must be in order.
   */
  readonly random?: readonly Uint8Array[] | undefined;
}

export interface ScriptedCrypto {
  readonly provider: CryptoProvider;
  /** Throws when something of the script was never asked for: then the session was not the one that the script means. */
  assertUsedUp(): void;
}

/** `provider` with its randomness read from a script: for vectors. A request that the script has no answer for throws. */
export function scriptedCrypto(provider: CryptoProvider, script: CryptoScript): ScriptedCrypto {
  const random = new Script("random value", script.random ?? []);
  const privateKeys = new Script("private key", script.privateKeys ?? []);
  return {
    provider: withRandomness(provider, `${provider.name}, scripted`, random, privateKeys),
    assertUsedUp() {
      random.assertUsedUp();
      privateKeys.assertUsedUp();
    },
  };
}

class Script implements RandomSource {
  readonly #what: string;
  readonly #left: Uint8Array[];

  constructor(what: string, values: readonly Uint8Array[]) {
    this.#what = what;
    this.#left = [...values];
  }

  fill(out: Uint8Array): void {
    const index = this.#left.findIndex((value) => value.length === out.length);
    if (index === -1) {
      throw new Error(
        `the script has no ${this.#what} of ${out.length} bytes left (it has: ${this.#lengths()}); add one, in order of use`,
      );
    }
    out.set(this.#left.splice(index, 1)[0] as Uint8Array);
  }

  assertUsedUp(): void {
    if (this.#left.length > 0) throw new Error(`never asked for: each ${this.#what} of ${this.#lengths()} bytes`);
  }

  #lengths(): string {
    return this.#left.length === 0 ? "none" : this.#left.map((value) => value.length).join(", ");
  }
}
