import type { SendSummary } from "../../audit/audit-log.ts";
import type { Actor } from "../../records.ts";
import type { Registry } from "../../registry/registry.ts";
import type { OutboundRecord } from "../messages.ts";
import type { QueueStore } from "./queue-store.ts";

/** Messages up to this number are in the audit. */
const AUDITED = "messages.audited";
/** A sender that sends all day has a row of the audit for each device and minute. */
const ROW_EVERY_MS = 60_000;
/** Rows of one transaction. */
const ROWS_AT_ONCE = 500;

/**
 * Who sent how much to whom, in the audit: the first within a second or so, what follows with the minute. What a crash kept from it the next
 * start finds in the queue, which knows each message's sender.
 */
export class SendAudit {
  readonly #registry: Pick<Registry, "audit" | "setting" | "putSetting">;
  readonly #store: QueueStore;
  #rows: Map<string, SendSummary> = new Map();
  #audited = 0;
  #flushedAt = Number.NEGATIVE_INFINITY;

  constructor(registry: Pick<Registry, "audit" | "setting" | "putSetting">, store: QueueStore) {
    this.#registry = registry;
    this.#store = store;
  }

  async load(): Promise<void> {
    this.#audited = Number((await this.#registry.setting(AUDITED)) ?? 0);
    for (const { by, ...counts } of await this.#store.sendersAfter(this.#audited)) {
      this.#add({ ...counts, actor: { who: by, from: "before a crash" } });
    }
  }

  note({ device, id }: OutboundRecord, { who, from }: Actor): void {
    this.#add({ device, actor: { who, from }, messages: 1, first: id, last: id });
  }

  /** Writes what is due; `now` is monotonic, in milliseconds. Rejects when the database fails: what was to be written is kept. */
  async flush(now: number): Promise<void> {
    if (this.#rows.size === 0 || now < this.#flushedAt + ROW_EVERY_MS) return;
    this.#flushedAt = now;
    const rows = this.#rows;
    this.#rows = new Map();
    try {
      for (const some of chunks([...rows.values()], ROWS_AT_ONCE)) {
        await this.#registry.audit.appendSends(some);
        for (const row of some) rows.delete(keyOf(row));
        this.#audited = Math.max(this.#audited, ...some.map(({ last }) => last));
      }
      await this.#registry.putSetting(AUDITED, String(this.#audited));
    } catch (error) {
      for (const row of rows.values()) this.#add(row);
      throw error;
    }
  }

  #add(row: SendSummary): void {
    const known = this.#rows.get(keyOf(row));
    this.#rows.set(
      keyOf(row),
      known === undefined
        ? row
        : {
            ...row,
            messages: row.messages + known.messages,
            first: Math.min(row.first, known.first),
            last: Math.max(row.last, known.last),
          },
    );
  }
}

function keyOf({ device, actor }: SendSummary): string {
  return JSON.stringify([device, actor.who, actor.from]);
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
