import type { RefusalSummary } from "../audit/audit-log.ts";
import type { WallMs } from "../records.ts";

const MINUTE_MS = 60_000;
/** Rows of one minute; further sources share one row per cause. */
const ROWS_A_MINUTE = 256;
const OTHER_SOURCES = "other sources";

/** Counts refused attempts per cause, source and minute, for the audit: so that a stranger adds few rows, whatever he sends. */
export class RefusalMinutes {
  #minute: WallMs = 0;
  #counts: Map<string, RefusalSummary> = new Map();
  #closed: RefusalSummary[] = [];

  add(cause: string, source: string, at: WallMs): void {
    this.#turnTo(at);
    const whole = `${cause} ${source}`;
    const full = this.#counts.size >= ROWS_A_MINUTE && !this.#counts.has(whole);
    const counted = full ? OTHER_SOURCES : source;
    const key = full ? `${cause} ${OTHER_SOURCES}` : whole;
    const count = (this.#counts.get(key)?.count ?? 0) + 1;
    this.#counts.set(key, { minute: this.#minute, cause, source: counted, count });
  }

  /** The minutes that are over; `all`: the present one as well. */
  take(now: WallMs, all = false): readonly RefusalSummary[] {
    if (all) this.#close();
    else this.#turnTo(now);
    const closed = this.#closed;
    this.#closed = [];
    return closed;
  }

  /** What could not be written; kept within bounds. */
  giveBack(rows: readonly RefusalSummary[]): void {
    this.#closed = [...rows, ...this.#closed].slice(-60 * ROWS_A_MINUTE);
  }

  #turnTo(now: WallMs): void {
    const minute = now - (now % MINUTE_MS);
    if (minute === this.#minute) return;
    this.#close();
    this.#minute = minute;
  }

  #close(): void {
    this.#closed.push(...this.#counts.values());
    this.#counts = new Map();
  }
}
