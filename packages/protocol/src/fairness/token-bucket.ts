import type { Instant } from "../time.ts";

/** How much of something may happen: `burst` at once after a quiet time, then `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket: holds at most `burst` tokens and gains `perSecond` of them. Fractions are kept, so slow rates work as well. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #filledAt: Instant;

  constructor(rate: Rate, now: Instant) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filledAt = now;
  }

  /** Takes one token; false when there is none. */
  take(now: Instant): boolean {
    return this.#take(1, now);
  }

  /** Takes one token when more than half of the burst is there: what is left then is for others. */
  takeSpare(now: Instant): boolean {
    return this.#take(1 + this.#rate.burst / 2, now);
  }

  #take(least: number, now: Instant): boolean {
    const gained = ((now - this.#filledAt) * this.#rate.perSecond) / 1_000;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + gained);
    this.#filledAt = now;
    if (this.#tokens < least) return false;
    this.#tokens--;
    return true;
  }
}
