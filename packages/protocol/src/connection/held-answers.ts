/** Something that is owed to the peer once all messages up to a number are accepted. */
interface Held<T> {
  readonly through: number;
  readonly answer: T;
}

/**
 * Answers that say "safe" and therefore wait for the application (ConnectionConfig.acknowledge "accepted"): UTACKs, or PONGs. Messages are
 * counted from 1 in the order in which they were delivered, and accepted in that order.
 */
export class HeldAnswers<T> {
  readonly #held: Held<T>[] = [];

  get length(): number {
    return this.#held.length;
  }

  hold(through: number, answer: T): void {
    this.#held.push({ through, answer });
  }

  find(wanted: (answer: T) => boolean): T | undefined {
    return this.#held.find(({ answer }) => wanted(answer))?.answer;
  }

  /** Lets the newest wait for more. */
  extend(through: number): void {
    const newest = this.#held.pop() as Held<T>;
    this.#held.push({ ...newest, through });
  }

  /** Takes out what waited for no more than these. */
  release(accepted: number): readonly T[] {
    const first = this.#held.findIndex(({ through }) => through > accepted);
    return this.#held.splice(0, first < 0 ? this.#held.length : first).map(({ answer }) => answer);
  }

  discard(): void {
    this.#held.length = 0;
  }
}
