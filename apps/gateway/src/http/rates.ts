import { type Instant, type Rate, TokenBucket } from "@usmp/protocol";

/** Token buckets by key, for so many keys; the one that was asked least recently gives way. */
export class Rates {
  readonly #rate: Rate;
  readonly #most: number;
  readonly #buckets: Map<string, TokenBucket> = new Map();

  constructor(rate: Rate, most: number) {
    this.#rate = rate;
    this.#most = most;
  }

  /** Takes one; false when there is none. */
  take(key: string, now: Instant): boolean {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#rate, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#most) this.#buckets.delete(this.#buckets.keys().next().value as string);
    return bucket.take(now);
  }
}
