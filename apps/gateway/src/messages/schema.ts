import type { Kysely, Transaction } from "kysely";
import type { TransportName } from "usmp";
import type { OutboundState } from "./messages.ts";

/**
 * The tables of messages, as both databases have them; on PostgreSQL they stand beside the registry's. Times are milliseconds since 1970.
 * Each migration adds its own.
 */
export interface MessageTables {
  /** "reserved": ids below it may have been given away. */
  messages_meta: { key: string; value: string };
  messages_in: InboundRow;
  messages_out: OutboundRow;
}

/** A message of a device. */
export interface InboundRow {
  id: number;
  device: string;
  session: string;
  sequence: number;
  time: number;
  transport: TransportName;
  /** Of the message itself, before it was sealed. */
  bytes: number;
  /** The key that `data` is sealed under (message-seal.ts); null: it is not sealed. */
  sealed_by: string | null;
  data: Uint8Array;
}

/** A message to a device. It waits while `ended_at` is null. */
export interface OutboundRow {
  id: number;
  device: string;
  state: OutboundState;
  queued_at: number;
  ttl_ms: number;
  expires_at: number;
  /** 1: queued while the clock was in doubt; its time to live begins when the clock is trusted. */
  clock_doubted: number;
  sent_at: number | null;
  ended_at: number | null;
  attempts: number;
  maybe_twice: number;
  bytes: number;
  sender: string;
  /** The sender's own name for it. */
  send_key: string | null;
  sealed_by: string | null;
  data: Uint8Array;
}

export type MessageDatabase = Kysely<MessageTables>;
export type MessageTransaction = Transaction<MessageTables>;
