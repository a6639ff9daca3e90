/** Writes between two turns of the event loop. */
const A_TURN = 8;

/** Lets so many pass in each turn of the event loop, in order: a thousand viewers of one event do not hold up the devices. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #left: number = A_TURN;
  #scheduled = false;

  /** Undefined: now. */
  next(): Promise<void> | undefined {
    this.#schedule();
    if (this.#left > 0) {
      this.#left--;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Behind the sockets that have something to read.
    setImmediate(() => {
      this.#scheduled = false;
      const now = this.#waiting.splice(0, A_TURN);
      this.#left = A_TURN - now.length;
      if (this.#waiting.length > 0) this.#schedule();
      for (const pass of now) pass();
    });
  }
}
