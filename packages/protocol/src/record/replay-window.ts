import { REPLAY_WINDOW_SIZE } from "../constants.ts";

export type Freshness = "fresh" | "duplicate" | "too-old";

/**
 * Which of the last 64 sequence numbers were accepted (RFC 4303 section 3.4.3, RFC 6479). One per epoch: numbers of different
 * keys have nothing to do with each other. mark() only after the tag verified, or a forger moves the window.
 */
export class ReplayWindow {
  #newest = -1;
  /** Bit i: newest - i was accepted, for i in 0..31 and, in the second word, 32..63. */
  #recent = 0;
  #older = 0;

  /** The highest accepted number; -1 before the first. */
  get newest(): number {
    return this.#newest;
  }

  check(seq: number): Freshness {
    const age = this.#newest - seq;
    if (age < 0) return "fresh";
    if (age >= REPLAY_WINDOW_SIZE) return "too-old";
    const word = age < 32 ? this.#recent : this.#older;
    return (word >>> (age & 31)) & 1 ? "duplicate" : "fresh";
  }

  /** Accepts a number that check() called fresh. */
  mark(seq: number): void {
    const age = this.#newest - seq;
    if (age < 0) this.#advance(-age);
    if (age < 0) this.#recent |= 1;
    else if (age < 32) this.#recent |= 1 << age;
    else this.#older |= 1 << (age - 32);
  }

  #advance(by: number): void {
    this.#newest += by;
    if (by >= 64) {
      this.#older = 0;
      this.#recent = 0;
    } else if (by >= 32) {
      this.#older = this.#recent << (by - 32);
      this.#recent = 0;
    } else {
      this.#older = (this.#older << by) | (this.#recent >>> (32 - by));
      this.#recent <<= by;
    }
  }
}
