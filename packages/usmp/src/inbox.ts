interface Waiter<T> {
  readonly give: (item: T | undefined) => void;
}

/**
 * Items that wait for a reader, or readers that wait for an item. A reader that gives up loses nothing: what it waited for goes to
 * the next one.
 */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiters: Waiter<T>[] = [];
  #ended = false;

  /** Items that no reader waited for. */
  get length(): number {
    return this.#items.length;
  }

  /** Hands the item to the first reader that waits and answers true, or keeps it. */
  push(item: T): boolean {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#items.push(item);
    else waiter.give(item);
    return waiter !== undefined;
  }

  /** Takes a kept item, if there is one. */
  poll(): T | undefined {
    return this.#items.shift();
  }

  /** No more items will come: readers get what is there, then undefined. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) waiter.give(undefined);
  }

  /** The next item once none is kept, or undefined after the end. Rejects with the signal's reason. */
  wait(signal: AbortSignal | undefined): Promise<T | undefined> {
    if (this.#ended) return NOTHING;
    return new Promise((resolve, reject) => {
      if (signal === undefined) {
        this.#waiters.push({ give: resolve });
        return;
      }
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal.reason);
      };
      // The listener goes in the same moment as the item comes: an abort after that must not take the item along.
      const waiter: Waiter<T> = {
        give: (item) => {
          signal.removeEventListener("abort", onAbort);
          resolve(item);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }
}

const NOTHING: Promise<undefined> = Promise.resolve(undefined);
