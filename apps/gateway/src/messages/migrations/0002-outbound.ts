import { type Kysely, type Migration, sql } from "kysely";
import { columnTypes } from "../../registry/migrations/column-types.ts";

/** What is on its way to devices, and for a while what became of it. */
export const outbound: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { blob, integer } = columnTypes(db);
    await db.schema
      .createTable("messages_out")
      .addColumn("id", integer, (column) => column.primaryKey())
      .addColumn("device", "text", (column) => column.notNull())
      .addColumn("state", "text", (column) => column.notNull())
      .addColumn("queued_at", integer, (column) => column.notNull())
      .addColumn("ttl_ms", integer, (column) => column.notNull())
      .addColumn("expires_at", integer, (column) => column.notNull())
      .addColumn("clock_doubted", integer, (column) => column.notNull())
      .addColumn("sent_at", integer)
      .addColumn("ended_at", integer)
      .addColumn("attempts", integer, (column) => column.notNull())
      .addColumn("maybe_twice", integer, (column) => column.notNull())
      .addColumn("bytes", integer, (column) => column.notNull())
      .addColumn("sender", "text", (column) => column.notNull())
      .addColumn("send_key", "text")
      .addColumn("sealed_by", "text")
      .addColumn("data", blob, (column) => column.notNull())
      .execute();
    const index = (name: string, columns: readonly string[], where: ReturnType<typeof sql<boolean>>) =>
      db.schema
        .createIndex(`messages_out_${name}`)
        .on("messages_out")
        .columns([...columns])
        .where(where);
    // What waits, in order by device; `bytes` is in it so that sums at a start read no payload.
    await index("waiting", ["device", "id", "bytes"], sql<boolean>`ended_at is null`).execute();
    await index("expiry", ["expires_at"], sql<boolean>`ended_at is null`).execute();
    await index("sent", ["id"], sql<boolean>`state = 'sent'`).execute();
    await index("doubted", ["id"], sql<boolean>`clock_doubted = 1`).execute();
    await index("ended", ["ended_at", "id"], sql<boolean>`ended_at is not null`).execute();
    await index("key", ["device", "send_key"], sql<boolean>`send_key is not null`).unique().execute();
    await db.schema.createIndex("messages_out_device").on("messages_out").columns(["device", "id"]).execute();
  },
};
