import type { Kysely, Migration } from "kysely";
import { columnTypes } from "./column-types.ts";

/** Tokens of the HTTP API. */
export const tokens: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { blob, integer } = columnTypes(db);
    await db.schema
      .createTable("tokens")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("role", "text", (column) => column.notNull())
      .addColumn("hash", blob, (column) => column.notNull())
      .addColumn("created_at", integer, (column) => column.notNull())
      .addColumn("expires_at", integer)
      .addColumn("last_used_at", integer)
      .addColumn("revoked_at", integer)
      .execute();
  },
};
