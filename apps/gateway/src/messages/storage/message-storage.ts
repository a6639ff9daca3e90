import type { MessageDatabase, MessageTransaction } from "../schema.ts";
import type { Rows, WideTable } from "./tables.ts";

/**
 * The database of messages, apart from the registry's: what devices send must neither grow nor block what admits them. SQLite: messages.db in
 * the data directory, in a thread of its own. PostgreSQL: tables of their own in the registry's database, through connections of their own.
 *
 * Everything that it rejects with is a GatewayError: "database" says what to do. Nothing is tried again here: callers do, with bounds.
 */
export interface MessageStorage {
  readonly kind: "sqlite" | "postgres";
  /** A path, or a URL without user and password. */
  readonly where: string;
  /** For reading. On SQLite it waits while a transaction is open, so read in pages. */
  readonly db: MessageDatabase;
  /**
   * The only way to write: one at a time, in the order of the calls, and durable (on the disk) once it resolves. Rejects with what `work`
   * threw, if that is a GatewayError, else with "database"; then nothing of it is stored, or, when the connection broke during the commit, it
   * is not known whether it is. Short work: everybody else waits.
   */
  transaction<T>(work: (change: MessageChange) => Promise<T>): Promise<T>;
  /** As MessageChange.takeId, for what is told before it could be stored. Throws GatewayError "database" when none is left. */
  takeId(): number;
  /** Called when another process may have changed the database meanwhile (PostgreSQL, after its connection was lost): memory must be read anew. */
  onOwnedAnew(listener: () => void): () => void;
  /** Rejects when the database does not answer, or is another's. */
  check(): Promise<void>;
  /** After the transactions that were asked for. */
  close(): Promise<void>;
}

export interface MessageChange {
  readonly sql: MessageTransaction;
  /**
   * The next id: ascending over messages of both directions, never used again, not even after a crash or when the transaction fails. Taken within
   * transactions, so that what is committed later has a higher one.
   */
  takeId(): number;
  /** Fast for many rows. */
  insertAll(table: WideTable, rows: Rows): Promise<void>;
}
