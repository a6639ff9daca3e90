/** What waits to be delivered, bounded by count and bytes: the oldest give way to new ones. */
export class WaitingItems<T> {
  readonly #sizeOf: (item: T) => number;
  readonly #mostItems: number;
  readonly #mostBytes: number;
  /** Those before `#first` are gone. */
  #items: (T | undefined)[] = [];
  #first = 0;
  #bytes = 0;

  constructor(limits: { readonly items: number; readonly bytes: number }, sizeOf: (item: T) => number) {
    this.#sizeOf = sizeOf;
    this.#mostItems = limits.items;
    this.#mostBytes = limits.bytes;
  }

  get length(): number {
    return this.#items.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Answers how many had to go for it; one that is larger than all the room goes itself. */
  push(item: T): number {
    this.#items.push(item);
    this.#bytes += this.#sizeOf(item);
    let gone = 0;
    while (this.length > this.#mostItems || this.#bytes > this.#mostBytes) {
      this.#shift();
      gone++;
    }
    return gone;
  }

  /** The oldest, within both bounds, and at least one if there is one. */
  take(most: { readonly items: number; readonly bytes: number }): T[] {
    const taken: T[] = [];
    let bytes = 0;
    while (this.length > 0 && taken.length < most.items) {
      bytes += this.#sizeOf(this.#items[this.#first] as T);
      if (taken.length > 0 && bytes > most.bytes) break;
      taken.push(this.#shift());
    }
    return taken;
  }

  /** Answers how many there were. */
  clear(): number {
    const { length } = this;
    this.#items = [];
    this.#first = 0;
    this.#bytes = 0;
    return length;
  }

  #shift(): T {
    const item = this.#items[this.#first] as T;
    this.#items[this.#first++] = undefined;
    this.#bytes -= this.#sizeOf(item);
    // Half of it holes: moving the rest costs each item at most one copy on average.
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}
