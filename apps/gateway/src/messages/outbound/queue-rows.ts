import type { Selectable } from "kysely";
import type { OutboundRecord } from "../messages.ts";
import type { OutboundRow } from "../schema.ts";
import type { WideTable } from "../storage/tables.ts";

/** Everything but the payload. */
export const RECORD = [
  "id",
  "device",
  "state",
  "queued_at",
  "expires_at",
  "sent_at",
  "ended_at",
  "attempts",
  "maybe_twice",
  "bytes",
  "sender",
] as const;
export type RecordRow = Pick<Selectable<OutboundRow>, (typeof RECORD)[number]>;

export const TABLE: WideTable = {
  name: "messages_out",
  columns: {
    id: "integer",
    device: "text",
    state: "text",
    queued_at: "integer",
    ttl_ms: "integer",
    expires_at: "integer",
    clock_doubted: "integer",
    attempts: "integer",
    maybe_twice: "integer",
    bytes: "integer",
    sender: "text",
    send_key: "text",
    sealed_by: "text",
    data: "blob",
  },
};

/** A message that has only just arrived. */
export const FRESH = { sentAt: undefined, endedAt: undefined, attempts: 0, maybeTwice: false } as const;

export function recordOf(row: RecordRow): OutboundRecord {
  return {
    id: row.id,
    device: row.device,
    state: row.state,
    queuedAt: row.queued_at,
    expiresAt: row.expires_at,
    sentAt: row.sent_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
    attempts: row.attempts,
    maybeTwice: row.maybe_twice === 1,
    bytes: row.bytes,
    by: row.sender,
  };
}
