import type { CloseReason } from "@usmp/protocol";
import { DeliveryUnknownError } from "./errors.ts";
import { type Deferred, deferred } from "./waiting.ts";

/** PINGs that left and PONGs that came: over an in-order transport the n-th answers the n-th. */
interface PingCounts {
  readonly sent: number;
  readonly answered: number;
}

/** Those who wait until an in-order peer has answered a PING that left behind what they sent. Whose PINGs these are does not matter. */
export class Confirmations {
  readonly #ask: () => void;
  /** By the number of the PONG, ascending. */
  readonly #waiting: { readonly pong: number; readonly settled: Deferred<void> }[] = [];

  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** Resolves with the PONG to the next PING that leaves: one that left before may have overtaken nothing. */
  wait({ sent }: PingCounts): Promise<void> {
    const settled = deferred<void>();
    this.#waiting.push({ pong: sent + 1, settled });
    // A turn later: whoever comes until then shares the PING.
    if (this.#waiting.length === 1) queueMicrotask(this.#ask);
    return settled.promise;
  }

  onPong({ answered }: PingCounts): void {
    while ((this.#waiting[0]?.pong ?? Number.POSITIVE_INFINITY) <= answered) this.#waiting.shift()?.settled.resolve();
    // Those who came after that PING had left need another.
    if (this.#waiting.length > 0) this.#ask();
  }

  onClosed(reason: CloseReason): void {
    for (const { settled } of this.#waiting.splice(0)) settled.reject(new DeliveryUnknownError(reason));
  }
}
