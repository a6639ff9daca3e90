import { addMs, type Instant } from "../time.ts";
import type { RttEstimator } from "./rtt.ts";

/** Datagrams that are sent again until something acknowledges them: a frame, or a handshake's flight. */
export class Retransmission {
  readonly firstSentAt: Instant;
  #sends = 1;
  #resendAt: Instant;

  /** The first send happens now, by the caller. */
  constructor(now: Instant, rtt: RttEstimator) {
    this.firstSentAt = now;
    this.#resendAt = addMs(now, rtt.timeout);
  }

  get sends(): number {
    return this.#sends;
  }

  get resendAt(): Instant {
    return this.#resendAt;
  }

  isDue(now: Instant): boolean {
    return now >= this.#resendAt;
  }

  /** Notes another send; the next is due after twice the time, at most `capMs`. */
  noteResend(now: Instant, rtt: RttEstimator, capMs: number): void {
    this.#sends++;
    this.#resendAt = addMs(now, Math.min(capMs, rtt.timeoutAfter(this.#sends)));
  }

  /** The round trip that an acknowledgement shows; undefined when the frame was resent (Karn's rule, RFC 6298 section 3). */
  roundTrip(now: Instant): number | undefined {
    return this.#sends === 1 ? now - this.firstSentAt : undefined;
  }
}
