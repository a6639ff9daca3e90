/** What one source holds, each set oldest first. */
interface Share<T> {
  readonly silent: Set<T>;
  readonly known: Set<T>;
}

/** Counts handshakes by source, and knows at any time the source that has the most: adding and removing cost the same however many there are. */
export class PlacesBySource<T> {
  readonly #shares: Map<string, Share<T>> = new Map();
  /** At n: the shares that hold n. */
  readonly #bySize: Set<Share<T>>[] = [new Set()];
  /** No share holds more. */
  #most = 0;

  count(source: string): number {
    const share = this.#shares.get(source);
    return share === undefined ? 0 : sizeOf(share);
  }

  add(item: T, source: string, silent: boolean): void {
    let share = this.#shares.get(source);
    if (share === undefined) {
      share = { silent: new Set(), known: new Set() };
      this.#shares.set(source, share);
    }
    const before = sizeOf(share);
    (silent ? share.silent : share.known).add(item);
    this.#move(share, before);
  }

  /** Removes an item that was added at this source. */
  remove(item: T, source: string): void {
    const share = this.#shares.get(source) as Share<T>;
    const before = sizeOf(share);
    if (!share.silent.delete(item)) share.known.delete(item);
    this.#move(share, before);
    if (before === 1) this.#shares.delete(source);
  }

  /** The oldest of a source that holds something. */
  oldestAt(source: string): T {
    return oldestOf(this.#shares.get(source) as Share<T>);
  }

  /** The oldest of the source that holds the most, when any holds something; of several such, the one that has held so much for the longest. */
  oldestOfLargest(): T {
    let largest = this.#bySize[this.#most] as Set<Share<T>>;
    while (largest.size === 0) largest = this.#bySize[--this.#most] as Set<Share<T>>;
    const [share] = largest;
    return oldestOf(share as Share<T>);
  }

  #move(share: Share<T>, before: number): void {
    const size = sizeOf(share);
    (this.#bySize[before] as Set<Share<T>>).delete(share);
    if (size === 0) return;
    this.#bySize[size] ??= new Set();
    this.#bySize[size].add(share);
    this.#most = Math.max(this.#most, size);
  }
}

/** Of silent and known peers the larger set gives way: whoever floods is in it, whichever way it floods. */
function oldestOf<T>({ silent, known }: Share<T>): T {
  const [oldest] = silent.size >= known.size ? silent : known;
  return oldest as T;
}

function sizeOf<T>({ silent, known }: Share<T>): number {
  return silent.size + known.size;
}
