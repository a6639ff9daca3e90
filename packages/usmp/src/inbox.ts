interface Waiter<T> {
  readonly give: (item: T | undefined) => void;
}

/** As an iterator answers: an item, or the end. */
export function toResult<T>(item: T | undefined): IteratorResult<T, undefined> {
  return item === undefined ? { done: true, value: undefined } : { done: false, value: item };
}

/**
 * Items that wait for a reader, or readers that wait for an item. A reader that gives up loses nothing: what it waited for goes to
 * the next one.
 */
export class Inbox<T> {
  /** Of these two at most one is there, and only while it holds something: an idle session has a reader that waits. */
  #items: T[] | undefined;
  #waiters: Waiter<T>[] | undefined;
  #ended = false;

  /** Items that no reader waited for. */
  get length(): number {
    return this.#items?.length ?? 0;
  }

  /** True once no more items come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Hands the item to the first reader that waits and answers true, or keeps it. */
  push(item: T): boolean {
    const given = this.give(item);
    if (!given) this.keep(item);
    return given;
  }

  /** Hands the item to the first reader that waits; false when none does. */
  give(item: T): boolean {
    const waiters = this.#waiters;
    // Mostly there is one, and then its array goes with it.
    const waiter = waiters?.length === 1 ? waiters[0] : waiters?.shift();
    if (waiters?.[0] === waiter || waiters?.length === 0) this.#waiters = undefined;
    waiter?.give(item);
    return waiter !== undefined;
  }

  /** Keeps the item for whoever reads next. */
  keep(item: T): void {
    if (this.#items === undefined) this.#items = [item];
    else this.#items.push(item);
  }

  /** Takes a kept item, if there is one. */
  poll(): T | undefined {
    const item = this.#items?.shift();
    if (this.#items?.length === 0) this.#items = undefined;
    return item;
  }

  /** Forgets the kept items that are of no use any more. */
  keepOnly(useful: (item: T) => boolean): void {
    this.#items = this.#items?.filter(useful);
    if (this.#items?.length === 0) this.#items = undefined;
  }

  /** No more items will come: readers get what is there, then undefined. */
  end(): void {
    this.#ended = true;
    const waiters = this.#waiters ?? [];
    this.#waiters = undefined;
    for (const waiter of waiters) waiter.give(undefined);
  }

  /** The next item once none is kept, or undefined after the end. Rejects with the signal's reason. */
  wait(signal: AbortSignal | undefined): Promise<T | undefined> {
    if (this.#ended) return NOTHING;
    return new Promise((resolve, reject) => {
      if (signal === undefined) {
        this.#add({ give: resolve });
        return;
      }
      const onAbort = (): void => {
        this.#waiters = this.#waiters?.filter((other) => other !== waiter);
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
      this.#add(waiter);
    });
  }

  /** The same as an iterator answers it: with one promise and not two, for each message of a session may be waited for. */
  waitForResult(): Promise<IteratorResult<T, undefined>> {
    if (this.#ended) return Promise.resolve(toResult<T>(undefined));
    return new Promise((resolve) => this.#add({ give: (item) => resolve(toResult(item)) }));
  }

  #add(waiter: Waiter<T>): void {
    if (this.#waiters === undefined) this.#waiters = [waiter];
    else this.#waiters.push(waiter);
  }
}

const NOTHING: Promise<undefined> = Promise.resolve(undefined);
