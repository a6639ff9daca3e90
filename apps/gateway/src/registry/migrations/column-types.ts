import { type Kysely, PostgresAdapter, sql } from "kysely";

/** Where the two databases spell a type differently. */
export function columnTypes(db: Kysely<unknown>): {
  readonly blob: ReturnType<typeof sql>;
  readonly integer: ReturnType<typeof sql>;
} {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter;
  return postgres ? { blob: sql`bytea`, integer: sql`bigint` } : { blob: sql`blob`, integer: sql`integer` };
}
