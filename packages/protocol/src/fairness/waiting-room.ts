import { addMs, earliest, type Instant } from "../time.ts";
import type { Limits } from "./limits.ts";
import { PlacesBySource } from "./places-by-source.ts";

export type RoomLimits = Pick<
  Limits,
  "handshakes" | "handshakesPerSource" | "reservedHandshakes" | "scarceHandshakeMs" | "shortestHandshakeMs"
>;

/** Reserved places of one device at one source: its own tries, or those of somebody who uses its id there. */
const MAX_RESERVED_PER_PAIR = 4;

interface Place<T> {
  readonly item: T;
  readonly source: string;
  /** Since when it has been what it is. */
  readonly since: Instant;
  readonly kind: "silent" | "known" | "reserved";
  /** Device and source, of a reserved one. */
  readonly pair?: string;
}

/**
 * The handshakes that are under way on one transport: their number is bounded, and so is the time that they may take when places are
 * scarce. Whoever comes in always finds a place, for another gives way: one of the source that has the most, so that a source can only
 * ever crowd out itself. Places of devices that proved themselves lately at their address are apart, and never give way.
 */
export class WaitingRoom<T> {
  readonly #limits: RoomLimits;
  readonly #places: Map<T, Place<T>> = new Map();
  /** Places that are not reserved, in the order in which they became silent or known: that is their order by deadline. */
  readonly #silent: Map<T, Place<T>> = new Map();
  readonly #known: Map<T, Place<T>> = new Map();
  readonly #bySource: PlacesBySource<T> = new PlacesBySource();
  readonly #reserved: Map<string, number> = new Map();
  #reservedCount = 0;

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#places.size;
  }

  /** All that are inside. */
  items(): Iterable<T> {
    return this.#places.keys();
  }

  /** Takes a peer in that has said nothing yet. Answers who has to give way; it has left already. */
  enter(item: T, source: string, now: Instant): T | undefined {
    const victim = this.#victimFor(source);
    if (victim !== undefined) this.leave(victim);
    this.#add({ item, source, since: now, kind: "silent" });
    return victim;
  }

  /** Its HELLO came. `provenPair` names device and source when this device proved itself there lately. */
  identify(item: T, provenPair: string | undefined, now: Instant): void {
    const place = this.#places.get(item);
    if (place?.kind !== "silent") return;
    this.#remove(place);
    const { source } = place;
    if (provenPair !== undefined && this.#mayReserve(provenPair)) {
      this.#add({ item, source, since: now, kind: "reserved", pair: provenPair });
    } else this.#add({ item, source, since: now, kind: "known" });
  }

  /** The handshake is over. Idempotent. */
  leave(item: T): void {
    const place = this.#places.get(item);
    if (place !== undefined) this.#remove(place);
  }

  /** When takeOverdue() may next answer somebody; it moves with every change. */
  get timeout(): Instant | undefined {
    const allowedMs = this.#allowedMs;
    if (allowedMs === undefined) return undefined;
    const [silent, known] = [firstOf(this.#silent), firstOf(this.#known)];
    return earliest(silent && addMs(silent.since, allowedMs), known && addMs(known.since, allowedMs));
  }

  /** Whose time is over because places are scarce; they have left already. */
  takeOverdue(now: Instant): T[] {
    const overdue: T[] = [];
    for (let place = this.#firstOverdue(now); place !== undefined; place = this.#firstOverdue(now)) {
      this.#remove(place);
      overdue.push(place.item);
    }
    return overdue;
  }

  #firstOverdue(now: Instant): Place<T> | undefined {
    const allowedMs = this.#allowedMs;
    if (allowedMs === undefined) return undefined;
    const oldest = [firstOf(this.#silent), firstOf(this.#known)];
    return oldest.find((place) => place !== undefined && now >= addMs(place.since, allowedMs));
  }

  /** How long a handshake may take now; undefined while half of the places are free: then its own deadline is all. */
  get #allowedMs(): number | undefined {
    const { scarceHandshakeMs, shortestHandshakeMs } = this.#limits;
    const half = this.#capacity / 2;
    const over = this.#taken - half;
    return over <= 0 ? undefined : scarceHandshakeMs - (scarceHandshakeMs - shortestHandshakeMs) * (over / half);
  }

  /** Places that are not reserved. */
  get #capacity(): number {
    return this.#limits.handshakes - this.#limits.reservedHandshakes;
  }

  get #taken(): number {
    return this.#silent.size + this.#known.size;
  }

  #victimFor(source: string): T | undefined {
    if (this.#bySource.count(source) >= this.#limits.handshakesPerSource) return this.#bySource.oldestAt(source);
    return this.#taken >= this.#capacity ? this.#bySource.oldestOfLargest() : undefined;
  }

  #mayReserve(pair: string): boolean {
    const held = this.#reserved.get(pair) ?? 0;
    return held < MAX_RESERVED_PER_PAIR && this.#reservedCount < this.#limits.reservedHandshakes;
  }

  #add(place: Place<T>): void {
    const { item, source, kind, pair } = place;
    this.#places.set(item, place);
    if (pair !== undefined) {
      this.#reservedCount++;
      this.#reserved.set(pair, (this.#reserved.get(pair) ?? 0) + 1);
    } else {
      this.#order(kind).set(item, place);
      this.#bySource.add(item, source, kind === "silent");
    }
  }

  #remove({ item, source, kind, pair }: Place<T>): void {
    this.#places.delete(item);
    if (pair !== undefined) {
      this.#reservedCount--;
      const left = (this.#reserved.get(pair) as number) - 1;
      if (left === 0) this.#reserved.delete(pair);
      else this.#reserved.set(pair, left);
    } else {
      this.#order(kind).delete(item);
      this.#bySource.remove(item, source);
    }
  }

  #order(kind: Place<T>["kind"]): Map<T, Place<T>> {
    return kind === "silent" ? this.#silent : this.#known;
  }
}

function firstOf<T>(places: ReadonlyMap<T, Place<T>>): Place<T> | undefined {
  return places.values().next().value;
}
