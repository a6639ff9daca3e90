import { type Kysely, type Migration, Migrator } from "kysely";
import { GatewayError } from "../../errors.ts";
import { messageOf } from "../../master/secret-file.ts";
import { inbound } from "../migrations/0001-inbound.ts";
import { outbound } from "../migrations/0002-outbound.ts";

/** In order, by name; a name never changes once it was released. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001-inbound": inbound,
  "0002-outbound": outbound,
};

const TABLE = "messages_migration";

/**
 * Brings the tables of messages to this version's schema. Throws GatewayError "newer-schema" for tables that a later version has changed,
 * "database" when a migration fails (then nothing of it is left).
 */
export async function migrateMessages<T>(db: Kysely<T>, where: string): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) },
    migrationTableName: TABLE,
    migrationLockTableName: `${TABLE}_lock`,
  });
  const unknown = (await executed(db)).find((name) => MIGRATIONS[name] === undefined);
  if (unknown !== undefined) {
    throw new GatewayError(
      "newer-schema",
      `the messages in ${where} have the schema ${unknown}, which this version of usmp does not know; run the newer version that made it`,
    );
  }
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  throw new GatewayError("database", `the messages in ${where} could not be brought up to date: ${messageOf(error)}`, {
    cause: error,
  });
}

async function executed<T>(db: Kysely<T>): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name, schema }) => name === TABLE && !schema?.startsWith("usmp_schema_"))) return [];
  const rows = await (db as unknown as Kysely<{ [TABLE]: { name: string } }>)
    .selectFrom(TABLE)
    .select("name")
    .orderBy("name")
    .execute();
  return rows.map(({ name }) => name);
}
