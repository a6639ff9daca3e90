import type { Instant } from "@usmp/protocol";
import type { Clock } from "./clock.ts";

/** One alarm for a deadline that moves. It may ring early: whoever is called then finds nothing due, and sets it again. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #at: Instant | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `at` or before; an alarm for an earlier moment stays as it is. Undefined: nothing is due that was not due before. */
  set(at: Instant | undefined): void {
    if (at === undefined || (this.#at !== undefined && this.#at <= at)) return;
    this.cancel();
    this.#at = at;
    this.#cancel = this.#clock.schedule(at, () => {
      this.#at = undefined;
      this.#ring();
    });
  }

  cancel(): void {
    this.#cancel?.();
    this.#at = undefined;
  }
}
