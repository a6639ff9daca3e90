import type { Instant } from "@usmp/protocol";
import type { Clock } from "./clock.ts";

/**
 * An alarm that rings so much later than it was set for means that this process did not run in between: it was stopped, its host slept,
 * or one task took all the time. What came meanwhile waits in the socket and is not read yet.
 */
export const LATE_MS = 1_000;

/** Whom an alarm wakes: an object and not a function, of which each of thousands of sessions would hold one. */
export interface AlarmOwner {
  /** It rings, so many milliseconds late. */
  onAlarm(lateMs: number): void;
}

/** One alarm that is set again and again. It may ring early, because its owner's deadline has moved on: so activity costs no re-arming. */
export class Alarm {
  readonly #clock: Clock;
  readonly #owner: AlarmOwner;
  #at: Instant | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, owner: AlarmOwner) {
    this.#clock = clock;
    this.#owner = owner;
  }

  /** Rings at `at`, or before when it was set for an earlier moment; undefined: not at all. */
  set(at: Instant | undefined): void {
    if (at === undefined) return this.clear();
    if (this.#at !== undefined && this.#at <= at) return;
    this.#cancel?.();
    this.#at = at;
    this.#cancel = this.#clock.schedule(at, this.#onTime);
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = undefined;
  }

  readonly #onTime = (): void => {
    const lateMs = this.#clock.now() - (this.#at as Instant);
    this.#cancel = undefined;
    this.#at = undefined;
    this.#owner.onAlarm(lateMs);
  };
}
