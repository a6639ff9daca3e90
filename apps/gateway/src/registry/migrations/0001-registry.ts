import type { Kysely, Migration } from "kysely";
import { columnTypes } from "./column-types.ts";

/** Devices, their keys, the audit chain. */
export const registry: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { blob, integer } = columnTypes(db);
    await db.schema
      .createTable("meta")
      .addColumn("key", "text", (column) => column.primaryKey())
      .addColumn("value", "text", (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("devices")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("name", "text")
      .addColumn("tags", "text", (column) => column.notNull())
      .addColumn("state", "text", (column) => column.notNull())
      .addColumn("state_since", integer, (column) => column.notNull())
      .addColumn("generation", integer, (column) => column.notNull())
      .addColumn("grace_ends_at", integer)
      .addColumn("added_at", integer, (column) => column.notNull())
      .addColumn("changed_at", integer, (column) => column.notNull())
      .addColumn("last_seen_at", integer)
      .execute();
    await db.schema
      .createTable("device_keys")
      .addColumn("device_id", "text", (column) => column.notNull().references("devices.id"))
      .addColumn("generation", integer, (column) => column.notNull())
      .addColumn("role", "text", (column) => column.notNull())
      .addColumn("origin", "text", (column) => column.notNull())
      .addColumn("master_id", "text", (column) => column.notNull())
      .addColumn("batch", "text")
      .addColumn("sealed", blob)
      .addColumn("fingerprint", blob, (column) => column.notNull().unique())
      .addColumn("made_at", integer, (column) => column.notNull())
      .addColumn("proven_at", integer)
      .addPrimaryKeyConstraint("device_keys_pk", ["device_id", "generation"])
      .addUniqueConstraint("device_keys_role", ["device_id", "role"])
      .execute();
    await db.schema
      .createTable("dead_keys")
      .addColumn("device_id", "text", (column) => column.notNull())
      .addColumn("generation", integer, (column) => column.notNull())
      .addColumn("origin", "text", (column) => column.notNull())
      .addColumn("master_id", "text", (column) => column.notNull())
      .addColumn("batch", "text")
      .addColumn("fingerprint", blob, (column) => column.notNull())
      .addColumn("died_at", integer, (column) => column.notNull())
      .addColumn("because", "text", (column) => column.notNull())
      .addPrimaryKeyConstraint("dead_keys_pk", ["device_id", "generation"])
      .execute();
    await db.schema.createIndex("dead_keys_fingerprint").on("dead_keys").column("fingerprint").execute();
    await db.schema
      .createTable("tombstones")
      .addColumn("device_id", "text", (column) => column.primaryKey())
      .addColumn("generation", integer, (column) => column.notNull())
      .addColumn("deleted_at", integer, (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("masters")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("state", "text", (column) => column.notNull())
      .addColumn("sealed_secret", blob)
      .addColumn("sealed_audit", blob)
      .addColumn("since", integer, (column) => column.notNull())
      .addColumn("grace_ends_at", integer)
      .execute();
    await db.schema
      .createTable("audit")
      .addColumn("seq", integer, (column) => column.primaryKey())
      .addColumn("time", integer, (column) => column.notNull())
      .addColumn("action", "text", (column) => column.notNull())
      .addColumn("device", "text")
      .addColumn("who", "text", (column) => column.notNull())
      .addColumn("origin", "text", (column) => column.notNull())
      .addColumn("detail", "text", (column) => column.notNull())
      .addColumn("master_id", "text", (column) => column.notNull())
      .addColumn("mac", blob, (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("refusals")
      .addColumn("slot", integer, (column) => column.primaryKey())
      .addColumn("record", "text", (column) => column.notNull())
      .execute();
    await db.schema
      .createTable("seen")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("record", "text", (column) => column.notNull())
      .execute();
  },
};
