import type { Kysely, Transaction } from "kysely";
import type { TransportName } from "usmp";

/**
 * The tables of messages, as both databases have them; on PostgreSQL they stand beside the registry's. Times are milliseconds since 1970.
 * Each migration adds its own.
 */
export interface MessageTables {
  /** "reserved": ids below it may have been given away. */
  messages_meta: { key: string; value: string };
  messages_in: InboundRow;
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

export type MessageDatabase = Kysely<MessageTables>;
export type MessageTransaction = Transaction<MessageTables>;
