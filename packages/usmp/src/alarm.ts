import { type Instant, instant } from "@usmp/protocol";
import { AlarmHeap, type HeapEntry } from "./alarm-heap.ts";
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
export class Alarm implements HeapEntry {
  /** For the heap: when it rings, while it is set. */
  at: Instant = NEVER;
  place = -1;
  readonly #clock: Clock;
  readonly #owner: AlarmOwner;

  constructor(clock: Clock, owner: AlarmOwner) {
    this.#clock = clock;
    this.#owner = owner;
  }

  /** Rings at `at`, or before when it was set for an earlier moment; undefined: not at all. */
  set(at: Instant | undefined): void {
    if (at === undefined) return this.clear();
    if (this.place !== -1) {
      if (this.at <= at) return;
      this.clear();
    }
    this.at = at;
    AlarmHeap.of(this.#clock).add(this);
  }

  clear(): void {
    if (this.place !== -1) AlarmHeap.of(this.#clock).remove(this);
  }

  /** For the heap, which has taken it out. */
  ring(): void {
    this.#owner.onAlarm(this.#clock.now() - this.at);
  }
}

const NEVER = instant(Number.POSITIVE_INFINITY);
