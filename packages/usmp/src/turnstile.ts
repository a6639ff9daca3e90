import type { Clock } from "./clock.ts";

/**
 * What handshakes may take of one turn of the event loop, in milliseconds: some ten steps of them. A session's message then waits for no more
 * than that, however many devices come at once; and a turn itself costs so little that the pace stays that of the core.
 */
const TURN_MS = 1;

/**
 * Lets handshakes through at the pace that leaves sessions their turn. Work that has no room in this turn waits for a later one, first come, first
 * served; whoever is about to finish goes before whoever begins, so that a crowd is let in one by one instead of waiting together until their time is over.
 */
export class Turnstile {
  readonly #clock: Pick<Clock, "now">;
  readonly #nextTurn: (run: () => void) => void;
  readonly #finishing: Queue = new Queue();
  readonly #beginning: Queue = new Queue();
  #spentMs = 0;
  #scheduled = false;

  constructor(clock: Pick<Clock, "now">, nextTurn: (run: () => void) => void = setImmediate) {
    this.#clock = clock;
    this.#nextTurn = nextTurn;
  }

  /** Pieces of work that wait. */
  get waiting(): number {
    return this.#finishing.length + this.#beginning.length;
  }

  /** True when what comes now has to wait(). */
  get busy(): boolean {
    return this.#spentMs >= TURN_MS || this.waiting > 0;
  }

  /** Does a piece of work at once, and counts what it takes: for when it is not `busy`. */
  pass(work: () => void): void {
    this.#schedule();
    this.#run(work);
  }

  /** Does it in a later turn. */
  wait(work: () => void, finishing: boolean): void {
    this.#schedule();
    (finishing ? this.#finishing : this.#beginning).push(work);
  }

  #run(work: () => void): void {
    const began = this.#clock.now();
    try {
      work();
    } finally {
      this.#spentMs += this.#clock.now() - began;
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#nextTurn(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#scheduled = false;
    this.#spentMs = 0;
    if (this.waiting === 0) return;
    try {
      while (this.#spentMs < TURN_MS) {
        const work = this.#finishing.shift() ?? this.#beginning.shift();
        if (work === undefined) break;
        this.#run(work);
      }
    } finally {
      // Also when nothing is left: what was spent must be forgotten again. And when work threw: others wait.
      this.#schedule();
    }
  };
}

/** First in, first out, without moving what is left: thousands may wait. */
class Queue {
  #items: ((() => void) | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: () => void): void {
    this.#items.push(item);
  }

  shift(): (() => void) | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    }
    return item;
  }
}
