import { mkdirSync } from "node:fs";
import { openPostgresStorage } from "./postgres.ts";
import { openSqliteStorage } from "./sqlite.ts";
import type { Storage } from "./storage.ts";

export interface StorageOptions {
  readonly dataDirectory: string;
  /** "postgres://…"; undefined: SQLite in the data directory. */
  readonly database: string | undefined;
}

/** Opens the database of a data directory, which is made when it is missing. Throws GatewayError. */
export async function openStorage({ dataDirectory, database }: StorageOptions): Promise<Storage> {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  return database === undefined ? openSqliteStorage(dataDirectory) : openPostgresStorage(database);
}
