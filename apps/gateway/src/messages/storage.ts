import type { MessageStorage } from "./storage/message-storage.ts";
import { openPostgresMessages } from "./storage/postgres-messages.ts";
import { openSqliteMessages } from "./storage/sqlite-messages.ts";

export type { MessageChange, MessageStorage } from "./storage/message-storage.ts";
export type { Rows, Value, WideTable } from "./storage/tables.ts";

export interface MessageStorageOptions {
  readonly dataDirectory: string;
  /** "postgres://…"; undefined: SQLite in the data directory. */
  readonly database: string | undefined;
}

/** Opens the database of messages and brings it up to date; made when it is missing. Throws GatewayError. */
export function openMessageStorage({ dataDirectory, database }: MessageStorageOptions): Promise<MessageStorage> {
  return database === undefined ? openSqliteMessages(dataDirectory) : openPostgresMessages(database);
}
