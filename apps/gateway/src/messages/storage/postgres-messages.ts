import { Kysely, PostgresDialect } from "kysely";
import type { Pool } from "pg";
import { GatewayError } from "../../errors.ts";
import { messageOf } from "../../master/secret-file.ts";
import { Ownership, readUrl } from "../../registry/postgres.ts";
import type { MessageTables, MessageTransaction } from "../schema.ts";
import { LiveMessageStorage } from "./live-storage.ts";
import type { MessageStorage } from "./message-storage.ts";
import type { Rows, WideTable } from "./tables.ts";
import { rawQuery } from "./thread-dialect.ts";

/** "usmq": beside the registry's lock, so that each finds out by itself that its connection was lost. */
const LOCK = 0x75_73_6d_71;
/** One writes, the others read. */
const CONNECTIONS = 3;
const CONNECT_LIMIT_MS = 5_000;
const STATEMENT_LIMIT_MS = 10_000;
/** What the server's own limit does not end: a network that swallows packets. */
const ANSWER_LIMIT_MS = 15_000;

const TYPES = { integer: "bigint", text: "text", blob: "bytea" } as const;

/** Opens the tables of messages in the registry's database. Throws GatewayError "usage", "already-running", "database", "newer-schema". */
export async function openPostgresMessages(url: string): Promise<MessageStorage> {
  const { default: pg } = await import("pg");
  const { config: shared, where } = readUrl(url, pg.types.getTypeParser);
  const config = {
    ...shared,
    application_name: "usmp gateway, messages",
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    statement_timeout: STATEMENT_LIMIT_MS,
    query_timeout: ANSWER_LIMIT_MS,
  };
  const owner = new Ownership(() => new pg.Client(config), where, LOCK);
  await owner.take();
  const pool: Pool = new pg.Pool({ ...config, max: CONNECTIONS });
  // A connection that breaks is replaced when the next is asked for; who was using it hears of it from the query.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  const db = new Kysely<MessageTables>({ dialect: new PostgresDialect({ pool }) });
  return LiveMessageStorage.open({
    kind: "postgres",
    where,
    db,
    ensureOwned: () => owner.ensure(),
    insertAll: insertArrays,
    check: () => owner.check(),
    explain: (error) =>
      new GatewayError(
        "database",
        `the database ${where} does not take messages: ${messageOf(error)}; bring it back, the gateway notices by itself`,
        { cause: error },
      ),
    async close() {
      await db.destroy();
      await owner.release();
    },
  });
}

/** One array a column: the statement is the same for any number of rows. */
async function insertArrays(
  change: MessageTransaction,
  { name, columns, repeatable }: WideTable,
  rows: Rows,
): Promise<void> {
  const conflict = repeatable ? " on conflict do nothing" : "";
  if (rows.length === 0) return;
  const names = Object.keys(columns);
  const arrays = Object.values(columns).map((type, index) => `$${index + 1}::${TYPES[type]}[]`);
  const sql = `insert into ${name} (${names.join(", ")}) select * from unnest(${arrays.join(", ")})${conflict}`;
  const values = names.map((_, column) => rows.map((row) => toPostgres(row[column])));
  await change.executeQuery(rawQuery(sql, values));
}

/** pg writes Buffers as bytea, and other byte arrays as text. */
function toPostgres(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.length);
}
