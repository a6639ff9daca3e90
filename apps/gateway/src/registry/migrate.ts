import { type Kysely, type Migration, Migrator } from "kysely";
import { GatewayError } from "../errors.ts";
import { messageOf } from "../master/secret-file.ts";
import { registry } from "./migrations/0001-registry.ts";
import { tokens } from "./migrations/0002-tokens.ts";
import type { Storage } from "./storage.ts";

/** In order, by name; a name never changes once it was released. */
const MIGRATIONS: Readonly<Record<string, Migration>> = { "0001-registry": registry, "0002-tokens": tokens };

export const SCHEMA: number = Object.keys(MIGRATIONS).length;

/**
 * Brings the database to this version's schema: a copy is made first when it holds something. Throws GatewayError "newer-schema" for
 * a database that a later version has changed, "database" when a migration fails (then nothing of it is left).
 */
export async function migrate(
  storage: Storage,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<void> {
  const done = await examineSchema(storage, migrations);
  if (done.length === Object.keys(migrations).length) return;
  if (done.length > 0) await storage.copyBeforeMigration(done.length);
  const provider = { getMigrations: () => Promise.resolve({ ...migrations }) };
  const { error } = await new Migrator({ db: storage.db, provider }).migrateToLatest();
  if (error !== undefined) {
    throw new GatewayError(
      "database",
      `the database ${storage.where} could not be brought up to date: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Names of the migrations that the database has, and changes nothing. Throws GatewayError "newer-schema". */
export async function examineSchema(
  storage: Storage,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<readonly string[]> {
  const done = await executed(storage.db);
  const unknown = done.find((name) => migrations[name] === undefined);
  if (unknown === undefined) return done;
  throw new GatewayError(
    "newer-schema",
    `the database ${storage.where} has the schema ${unknown}, which this version of usmp does not know; run the newer version that made it, ` +
      "or restore a backup of before",
  );
}

/** Names of the migrations that the database has; none in an empty one. */
async function executed(db: Storage["db"]): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name, schema }) => name === "kysely_migration" && !schema?.startsWith("usmp_schema_"))) return [];
  const rows = await (db as unknown as Kysely<{ kysely_migration: { name: string } }>)
    .selectFrom("kysely_migration")
    .select("name")
    .orderBy("name")
    .execute();
  return rows.map(({ name }) => name);
}
