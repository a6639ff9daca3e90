import { addMs, type Instant } from "../time.ts";
import type { Datagram } from "./datagram-channel.ts";

/** How many second HELLO_RETRYs may wait; beyond it they are not sent (spec section 6). */
const CAPACITY = 1_024;
/** Late enough not to disturb clients that abort on a second HELLO_RETRY (threats page, F21), early enough to save the handshake. */
const DELAY_MS = 1_000;

/**
 * The only state that a HELLO without cookie may leave: a second HELLO_RETRY, in case the first was lost. The field's clients, whose
 * HELLO was acknowledged, would otherwise wait for it until they give up (threats page, F9).
 */
export class RetryRing {
  /** By address, in the order in which they are due: the delay is the same for all. */
  readonly #waiting: Map<string, { readonly retry: Datagram; readonly dueAt: Instant }> = new Map();

  add(retry: Datagram, now: Instant): void {
    if (this.#waiting.size >= CAPACITY || this.#waiting.has(retry.to.key)) return;
    this.#waiting.set(retry.to.key, { retry, dueAt: addMs(now, DELAY_MS) });
  }

  /** The cookie came back: no second retry is needed. */
  cancel(address: string): void {
    this.#waiting.delete(address);
  }

  get timeout(): Instant | undefined {
    return this.#waiting.values().next().value?.dueAt;
  }

  /** Takes what is due. */
  takeDue(now: Instant): Datagram[] {
    const due: Datagram[] = [];
    for (const [address, { retry, dueAt }] of this.#waiting) {
      if (dueAt > now) break;
      this.#waiting.delete(address);
      due.push(retry);
    }
    return due;
  }
}
