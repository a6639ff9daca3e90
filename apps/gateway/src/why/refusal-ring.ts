import type { DeviceId, WallMs } from "../records.ts";
import type { RefusalCause } from "./cause.ts";
import type { RefusalRecord } from "./refusal-record.ts";

/** Records of enrolled ids, and of all others; apart, so that strangers do not push out what an owner looks for. */
const RECORDS_EACH = 1_000;
/** Of those, from one source. */
const PER_SOURCE = 64;
/** Attempts alike within this time are one record. */
const ALIKE_MS = 60_000;

export type RefusedAttempt = Omit<RefusalRecord, "firstAt" | "lastAt" | "count"> & { readonly at: WallMs };

/**
 * Refused attempts, the newest ones, in bounded memory whatever comes: attempts alike are counted in one record, and each source has
 * its share.
 */
export class RefusalRing {
  readonly #enrolled: Shelf = new Shelf();
  readonly #others: Shelf = new Shelf();

  /** Answers the record that the attempt is counted in. */
  add(attempt: RefusedAttempt, enrolled: boolean): RefusalRecord {
    return (enrolled ? this.#enrolled : this.#others).add(attempt);
  }

  /** Puts back what an earlier run kept, newest first. */
  load(records: readonly RefusalRecord[], isEnrolled: (id: DeviceId) => boolean): void {
    for (const record of [...records].reverse()) {
      const enrolled = record.claimedId !== undefined && isEnrolled(record.claimedId);
      (enrolled ? this.#enrolled : this.#others).put(record);
    }
  }

  /** Newest first. */
  records(id?: DeviceId): readonly RefusalRecord[] {
    return [...this.#enrolled.records(), ...this.#others.records()]
      .filter((record) => id === undefined || record.claimedId === id)
      .sort((a, b) => b.lastAt - a.lastAt);
  }

  /** Records that nothing can be added to any more and that were not taken before; `all`: also those that are open. */
  takeClosed(now: WallMs, all = false): readonly RefusalRecord[] {
    return [...this.#enrolled.takeClosed(now, all), ...this.#others.takeClosed(now, all)].sort(
      (a, b) => a.lastAt - b.lastAt,
    );
  }
}

class Shelf {
  /** By likeness, oldest first. */
  readonly #open: Map<string, RefusalRecord> = new Map();
  readonly #bySource: Map<string, RefusalRecord[]> = new Map();
  #unsaved: RefusalRecord[] = [];
  #count = 0;

  add({ at, ...attempt }: RefusedAttempt): RefusalRecord {
    const likeness = likenessOf(attempt);
    const open = this.#open.get(likeness);
    if (open !== undefined && Math.abs(at - open.firstAt) < ALIKE_MS) {
      const record = { ...open, lastAt: at, count: open.count + 1, peer: attempt.peer };
      this.#replace(open, record);
      this.#open.set(likeness, record);
      return record;
    }
    if (open !== undefined) this.#close(likeness, open);
    const record = { firstAt: at, lastAt: at, count: 1, ...attempt };
    this.#open.set(likeness, record);
    this.put(record);
    return record;
  }

  put(record: RefusalRecord): void {
    const ofSource = this.#bySource.get(record.source) ?? [];
    this.#bySource.set(record.source, ofSource);
    ofSource.push(record);
    this.#count++;
    if (ofSource.length > PER_SOURCE) this.#dropOldest(record.source, ofSource);
    else if (this.#count > RECORDS_EACH) this.#dropFromLargest();
  }

  *records(): Iterable<RefusalRecord> {
    for (const ofSource of this.#bySource.values()) yield* ofSource;
  }

  takeClosed(now: WallMs, all: boolean): readonly RefusalRecord[] {
    for (const [likeness, record] of this.#open) {
      if (all || Math.abs(now - record.firstAt) >= ALIKE_MS) this.#close(likeness, record);
    }
    const closed = this.#unsaved;
    this.#unsaved = [];
    return closed;
  }

  #close(likeness: string, record: RefusalRecord): void {
    this.#open.delete(likeness);
    this.#unsaved.push(record);
  }

  #replace(before: RefusalRecord, after: RefusalRecord): void {
    const ofSource = this.#bySource.get(before.source);
    const index = ofSource?.indexOf(before) ?? -1;
    if (index !== -1) ofSource?.splice(index, 1, after);
  }

  #dropFromLargest(): void {
    let largest: [string, RefusalRecord[]] | undefined;
    for (const entry of this.#bySource) if (entry[1].length > (largest?.[1].length ?? 0)) largest = entry;
    if (largest !== undefined) this.#dropOldest(...largest);
  }

  /** What gives way is not saved either, or a flood would be written to the disk. */
  #dropOldest(source: string, ofSource: RefusalRecord[]): void {
    const dropped = ofSource.shift();
    this.#count--;
    if (ofSource.length === 0) this.#bySource.delete(source);
    if (dropped === undefined) return;
    const likeness = likenessOf(dropped);
    if (this.#open.get(likeness) === dropped) this.#open.delete(likeness);
    this.#unsaved = this.#unsaved.filter((record) => record !== dropped);
  }
}

function likenessOf(record: {
  readonly transport: string;
  readonly source: string;
  readonly claimedId: DeviceId | undefined;
  readonly cause: RefusalCause;
}): string {
  const { cause } = record;
  return [record.transport, record.source, record.claimedId, cause.cause, detailOf(cause)].join(" ");
}

/** What was found out keeps records apart; what only varies (offsets, ages) does not. */
function detailOf(cause: RefusalCause): string {
  switch (cause.cause) {
    case "wrong-key":
      return `${cause.form} ${cause.tried}`;
    case "old-generation":
      return `${cause.holds} ${cause.current}`;
    case "suspended":
    case "revoked":
      return String(cause.held);
    default:
      return "";
  }
}
