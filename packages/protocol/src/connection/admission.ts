import { constantTimeEqual } from "../crypto/equal.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Secret } from "../crypto/secret.ts";
import type { ProofTrial } from "../handshake/proof-trial.ts";
import { type Accepted, ServerHandshake } from "../handshake/server.ts";
import type { Hello } from "../wire/message.ts";
import type { AuthenticationFailure } from "./events.ts";

export type Verdict =
  | Accepted
  | "waiting"
  | "weak-key-share"
  | "server-full"
  | { readonly refused: AuthenticationFailure };

/**
 * A server's decision on one HELLO: it joins the client's proof with the keys that the application looks up meanwhile, whichever
 * comes last. CHALLENGE never waits for the look-up, so an unknown device looks like a wrong key from outside (spec section 3).
 */
export class Admission {
  readonly handshake: ServerHandshake;
  readonly #own: boolean;
  #candidates: readonly Secret[] | undefined;
  #proof: Uint8Array | undefined;
  /** The last proof that was refused. */
  #trial: ProofTrial | undefined;

  /** `own`: the HELLO carries an id of this host itself, a reflection; no key will ever be good for it. */
  constructor(crypto: CryptoProvider, hello: Hello, own: boolean) {
    this.handshake = new ServerHandshake(crypto, hello);
    this.#own = own;
  }

  /** The peer has done its part, and the look-up has not: what then runs out is the application's time. */
  get awaitsKeys(): boolean {
    return this.#proof !== undefined && this.#candidates === undefined;
  }

  get hasProof(): boolean {
    return this.#proof !== undefined;
  }

  /** True when this is the proof that was last given. */
  sameProof(proof: Uint8Array): boolean {
    return this.#proof !== undefined && constantTimeEqual(this.#proof, proof);
  }

  provideKeys(candidates: readonly Secret[]): void {
    this.#candidates = candidates;
  }

  giveProof(proof: Uint8Array): void {
    this.#proof = proof;
  }

  /** Decides once both the proof and the keys are there. A wrong proof is forgotten, so that another may be given. */
  decide(newSessionId: () => Uint8Array | undefined): Verdict {
    if (this.#proof === undefined || this.#candidates === undefined) return "waiting";
    const outcome = this.handshake.accept(this.#proof, this.#own ? [] : this.#candidates, newSessionId);
    if (outcome !== "bad-proof") return outcome;
    const proof = this.#proof;
    this.#proof = undefined;
    if (this.#own) return { refused: "own-device-id" };
    this.#trial = this.handshake.trial(proof);
    return { refused: this.#candidates.length === 0 ? "unknown-device" : "wrong-key" };
  }

  /** The last proof that was refused, once: its holder wipes it. */
  takeTrial(): ProofTrial | undefined {
    const trial = this.#trial;
    this.#trial = undefined;
    return trial;
  }

  /** Lets go of the candidate keys once they are not needed; they stay their owner's. */
  forgetKeys(): void {
    this.#candidates = undefined;
  }

  wipe(): void {
    this.handshake.wipe();
    this.forgetKeys();
  }
}
