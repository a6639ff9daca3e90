import { addMs, type Instant, instant } from "@usmp/protocol";

interface Alarm {
  readonly at: Instant;
  readonly ring: () => void;
}

/** Monotonic time that moves only when a test moves it. Has the shape of the library's Clock. */
export class VirtualClock {
  #now: Instant;
  /** By time; alarms for the same moment in the order in which they were scheduled. */
  readonly #alarms: Alarm[] = [];

  constructor(startMs = 0) {
    this.#now = instant(startMs);
  }

  now(): Instant {
    return this.#now;
  }

  /** Rings once when time has reached `at`, never from inside this call. The answer cancels it; cancelling twice is harmless. */
  schedule(at: Instant, ring: () => void): () => void {
    const alarm: Alarm = { at, ring };
    this.#alarms.splice(this.#indexAfter(at), 0, alarm);
    return () => {
      const index = this.#alarms.indexOf(alarm);
      if (index !== -1) this.#alarms.splice(index, 1);
    };
  }

  get pendingAlarms(): number {
    return this.#alarms.length;
  }

  nextAlarmAt(): Instant | undefined {
    return this.#alarms[0]?.at;
  }

  /** Moves time on, ringing what falls due on the way, each alarm at its own moment. */
  advance(milliseconds: number): void {
    const end = addMs(this.#now, milliseconds);
    while (this.#ringNext(end));
    this.#now = end;
  }

  /** A process that did not run for so long: time is later at once, and everything that fell due meanwhile rings late. */
  jump(milliseconds: number): void {
    this.#now = addMs(this.#now, milliseconds);
    const end = this.#now;
    while (this.#ringNext(end));
  }

  /** Like advance(), but lets promises settle before the first alarm, after each, and at the end: for code that awaits. */
  async elapse(milliseconds: number): Promise<void> {
    const end = addMs(this.#now, milliseconds);
    do await settle();
    while (this.#ringNext(end));
    this.#now = end;
  }

  /** Rings alarms until none is left. Keep-alives never end: past `limitMs` of virtual time it gives up and throws. */
  runUntilIdle(limitMs = 3_600_000): void {
    const end = addMs(this.#now, limitMs);
    while (this.#ringNext(end));
    if (this.#alarms.length > 0) {
      throw new Error(
        `not idle after ${limitMs} ms of virtual time: ${this.#alarms.length} alarms, the next at ${this.#alarms[0]?.at}`,
      );
    }
  }

  #ringNext(end: Instant): boolean {
    const next = this.#alarms[0];
    if (next === undefined || next.at > end) return false;
    this.#alarms.shift();
    if (next.at > this.#now) this.#now = next.at;
    next.ring();
    return true;
  }

  #indexAfter(at: Instant): number {
    let low = 0;
    let high = this.#alarms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#alarms[middle] as Alarm).at <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One turn of the event loop: every promise that can settle has settled then. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
