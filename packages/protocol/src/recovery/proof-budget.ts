import { addMs, type Instant } from "../time.ts";

/** Wrong proofs that a handshake on datagrams checks at once (spec section 3). */
const MAX_WRONG_PROOFS = 8;
/** After them one is checked in this time: a stranger's flood costs little, and the true peer's next try still counts. */
const SLOW_INTERVAL_MS = 250;

/** Bounds the work that wrong proofs cause, without ever ending a handshake that the true peer may still complete. */
export class ProofBudget {
  #wrong = 0;
  #nextAt: Instant | undefined;

  /** True when a proof that came at `now` may be checked. */
  allows(now: Instant): boolean {
    return this.#nextAt === undefined || now >= this.#nextAt;
  }

  noteWrong(now: Instant): void {
    this.#wrong++;
    if (this.#wrong >= MAX_WRONG_PROOFS) this.#nextAt = addMs(now, SLOW_INTERVAL_MS);
  }
}
