import type { Kysely, Migration } from "kysely";
import { columnTypes } from "../../registry/migrations/column-types.ts";

/** What devices have sent. */
export const inbound: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { blob, integer } = columnTypes(db);
    await db.schema
      .createTable("messages_meta")
      .addColumn("key", "text", (column) => column.primaryKey())
      .addColumn("value", "text", (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("messages_in")
      .addColumn("id", integer, (column) => column.primaryKey())
      .addColumn("device", "text", (column) => column.notNull())
      .addColumn("session", "text", (column) => column.notNull())
      .addColumn("sequence", integer, (column) => column.notNull())
      .addColumn("time", integer, (column) => column.notNull())
      .addColumn("transport", "text", (column) => column.notNull())
      .addColumn("bytes", integer, (column) => column.notNull())
      .addColumn("sealed_by", "text")
      .addColumn("data", blob, (column) => column.notNull())
      .execute();
    // `bytes` is in it so that sums by device, at a start, need not read the payloads.
    await db.schema.createIndex("messages_in_device").on("messages_in").columns(["device", "id", "bytes"]).execute();
  },
};
