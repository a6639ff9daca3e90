/** Clamp of the retransmission timeout in milliseconds (spec section 6). */
const MIN_RTO_MS = 100;
const MAX_RTO_MS = 5_000;
/** Before the first sample: the value of the field's peers; RFC 6298 section 2.1 would have one second. */
const INITIAL_RTO_MS = 500;

/** Round-trip estimate and retransmission timeout, RFC 6298 section 2. The caller keeps Karn's rule: no sample from a resent frame. */
export class RttEstimator {
  #smoothed: number | undefined;
  #variation = 0;

  /** Smoothed round trip in milliseconds. */
  get smoothed(): number | undefined {
    return this.#smoothed;
  }

  /** Milliseconds to wait for the first acknowledgement. */
  get timeout(): number {
    if (this.#smoothed === undefined) return INITIAL_RTO_MS;
    return Math.min(MAX_RTO_MS, Math.max(MIN_RTO_MS, this.#smoothed + 4 * this.#variation));
  }

  /** Milliseconds to wait after `sends` sends of one frame: doubling, at most 5 s. */
  timeoutAfter(sends: number): number {
    return Math.min(MAX_RTO_MS, this.timeout * 2 ** (sends - 1));
  }

  sample(roundTripMs: number): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = roundTripMs;
      this.#variation = roundTripMs / 2;
      return;
    }
    this.#variation += (Math.abs(this.#smoothed - roundTripMs) - this.#variation) / 4;
    this.#smoothed += (roundTripMs - this.#smoothed) / 8;
  }
}
