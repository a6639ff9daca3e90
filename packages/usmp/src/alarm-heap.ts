import type { Instant } from "@usmp/protocol";
import type { Clock } from "./clock.ts";

/** What a heap holds: it knows its own place, so that it can be taken out. */
export interface HeapEntry {
  readonly at: Instant;
  /** Index in the heap; -1 outside of it. */
  place: number;
  ring(): void;
}

/**
 * The alarms of all sessions that live by one clock, as a binary heap by time, with one alarm of the clock's for the earliest. A timer of
 * Node's for each would cost an idle session half a kilobyte.
 */
export class AlarmHeap {
  readonly #clock: Clock;
  readonly #entries: HeapEntry[] = [];
  /** For when the clock's alarm is set. */
  #setFor: Instant | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The heap of a clock, which lives as long as the clock. */
  static of(clock: Clock): AlarmHeap {
    let heap = heaps.get(clock);
    if (heap === undefined) {
      heap = new AlarmHeap(clock);
      heaps.set(clock, heap);
    }
    return heap;
  }

  add(entry: HeapEntry): void {
    this.#entries.push(entry);
    this.#rise(entry, this.#entries.length - 1);
    if (entry.place === 0) this.#arm();
  }

  /** Takes out what is in it. The clock's alarm stays: it rings early then, and finds nothing due. */
  remove(entry: HeapEntry): void {
    const { place } = entry;
    entry.place = -1;
    const last = this.#entries.pop() as HeapEntry;
    if (last !== entry) this.#settle(last, place);
    if (this.#entries.length === 0) this.#arm();
  }

  #arm(): void {
    const at = this.#entries[0]?.at;
    if (at !== undefined && this.#setFor !== undefined && this.#setFor <= at) return;
    this.#cancel?.();
    this.#setFor = at;
    this.#cancel = at === undefined ? undefined : this.#clock.schedule(at, this.#onTime);
  }

  /** Rings what is due when it begins; what is set meanwhile has its own turn, so that the event loop does, too. */
  readonly #onTime = (): void => {
    const due = this.#setFor as Instant;
    const now = Math.max(due, this.#clock.now());
    this.#setFor = undefined;
    this.#cancel = undefined;
    const ringing: HeapEntry[] = [];
    for (let first = this.#entries[0]; first !== undefined && first.at <= now; first = this.#entries[0]) {
      this.remove(first);
      ringing.push(first);
    }
    try {
      for (let entry = ringing.shift(); entry !== undefined; entry = ringing.shift()) entry.ring();
    } finally {
      // One that threw must not take the others' alarms along.
      for (const entry of ringing) if (entry.place === -1) this.add(entry);
      this.#arm();
    }
  };

  /** Finds the place of an entry that was put into another's. */
  #settle(entry: HeapEntry, place: number): void {
    this.#rise(entry, place);
    this.#sink(entry, entry.place);
  }

  #rise(entry: HeapEntry, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#entries[above] as HeapEntry;
      if (parent.at <= entry.at) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(entry, place);
  }

  #sink(entry: HeapEntry, from: number): void {
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      const [first, second] = [this.#entries[left], this.#entries[left + 1]];
      const child = second !== undefined && first !== undefined && second.at < first.at ? second : first;
      if (child === undefined || child.at >= entry.at) break;
      const below = child.place;
      this.#put(child, place);
      place = below;
    }
    this.#put(entry, place);
  }

  #put(entry: HeapEntry, place: number): void {
    this.#entries[place] = entry;
    entry.place = place;
  }
}

const heaps: WeakMap<Clock, AlarmHeap> = new WeakMap();
