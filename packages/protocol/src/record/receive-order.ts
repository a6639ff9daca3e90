import { REPLAY_WINDOW_SIZE } from "../constants.ts";

/**
 * Puts frames of one epoch into the order of their numbers, where the peer has said that it leaves none out (docs/pipelining.md).
 * It holds at most what fits the replay window.
 */
export class ReceiveOrder<T> {
  #next: number;
  /** What came early, by number; undefined stands for a control frame, which had its effect when it came. */
  readonly #early: Map<number, T | undefined> = new Map();

  constructor(first: number) {
    this.#next = first;
  }

  /** The peer goes on with this number, after a moment in which all that it had sent was acknowledged. */
  restart(first: number): void {
    this.#next = first;
    this.#early.clear();
  }

  /** False for a number that no peer that keeps its window would use now. */
  reaches(seq: number): boolean {
    return seq >= this.#next && seq - this.#next < REPLAY_WINDOW_SIZE;
  }

  /** Takes a fresh frame whose number reaches() allows; answers what is in order by it. */
  put(seq: number, item: T | undefined): readonly T[] {
    this.#early.set(seq, item);
    const ready: T[] = [];
    while (this.#early.has(this.#next)) {
      const next = this.#early.get(this.#next);
      this.#early.delete(this.#next++);
      if (next !== undefined) ready.push(next);
    }
    return ready;
  }
}
