import { readFileSync } from "node:fs";
import { checkServerIdentity } from "node:tls";
import { Kysely, PostgresDialect, sql } from "kysely";
import type { Client, ClientConfig, Pool } from "pg";
import { GatewayError } from "../errors.ts";
import { messageOf } from "../master/secret-file.ts";
import type { Tables } from "./schema.ts";
import type { Storage } from "./storage.ts";

/** "usmp" in ASCII: the advisory lock by which one gateway owns a database. */
const LOCK = 0x75_73_6d_70;
/** Tables of messages: they can be many, and a migration of the registry leaves them alone. */
const MESSAGES = /^messages_/;
const INT8 = 20;
const PUBLIC = "public";
const CONNECT_LIMIT_MS = 10_000;
const STATEMENT_LIMIT_MS = 60_000;

/**
 * Opens a PostgreSQL database by URL. The password comes from PGPASSFILE (pg reads it), never from the URL; a server that is
 * not this host is spoken to by TLS whose certificate is checked (verify-full), whatever the URL says.
 * Throws GatewayError "usage", "already-running", "database".
 */
export async function openPostgresStorage(url: string): Promise<Storage> {
  const { default: pg } = await import("pg");
  const { config, where, local } = readUrl(url, pg.types.getTypeParser);
  const owner = new Ownership(() => new pg.Client(config), where, LOCK);
  await owner.take();
  const pool: Pool = new pg.Pool({ ...config, max: 4 });
  // A connection that breaks is replaced when the next is asked for; who was using it hears of it from the query.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return {
    kind: "postgres",
    where,
    driver: "pg",
    local,
    db,
    ensureOwned: () => owner.ensure(),
    check: () => owner.check(),
    async copyBeforeMigration(schema) {
      const copy = `usmp_schema_${schema}_${Date.now()}`;
      await db.transaction().execute(async (change) => {
        await change.schema.createSchema(copy).execute();
        for (const { name, schema: place } of await change.introspection.getTables({
          withInternalKyselyTables: true,
        })) {
          if (place !== PUBLIC || MESSAGES.test(name)) continue; // earlier copies
          await sql`create table ${sql.id(copy, name)} as table ${sql.id(PUBLIC, name)}`.execute(change);
        }
      });
    },
    async close() {
      await db.destroy();
      await owner.release();
    },
  };
}

/** One connection that holds an advisory lock as long as it lives. It also tells whether the database is there. */
export class Ownership {
  readonly #connect: () => Client;
  readonly #where: string;
  readonly #lock: number;
  #client: Client | undefined;

  constructor(connect: () => Client, where: string, lock: number) {
    this.#connect = connect;
    this.#where = where;
    this.#lock = lock;
  }

  async take(): Promise<void> {
    const client = this.#connect();
    client.on("error", () => this.#drop(client));
    try {
      await client.connect();
      const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_lock($1) as locked", [
        this.#lock,
      ]);
      if (rows[0]?.locked !== true) {
        throw new GatewayError(
          "already-running",
          `the database ${this.#where} belongs to another gateway that runs now`,
        );
      }
      this.#client = client;
    } catch (error) {
      await client.end().catch(() => {});
      if (error instanceof GatewayError) throw error;
      throw new GatewayError("database", `the database ${this.#where} does not answer: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** True when the lock had to be taken again. */
  async ensure(): Promise<boolean> {
    if (this.#client !== undefined) return false;
    await this.take();
    return true;
  }

  async check(): Promise<void> {
    const client = this.#client;
    try {
      if (client === undefined) throw new Error("the connection was lost");
      await client.query("select 1");
    } catch (error) {
      if (client !== undefined) this.#drop(client);
      throw new GatewayError("database", `the database ${this.#where} does not answer: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async release(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  #drop(client: Client): void {
    if (this.#client === client) this.#client = undefined;
    void client.end().catch(() => {});
  }
}

/** Throws GatewayError "usage". */
export function readUrl(
  text: string,
  parserOf: (oid: number, format?: "text" | "binary") => unknown,
): { readonly config: ClientConfig; readonly where: string; readonly local: boolean } {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new GatewayError(
      "usage",
      "--database is no URL; write postgres://USER@HOST:PORT/NAME, or leave it out for SQLite",
    );
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw new GatewayError(
      "usage",
      `--database begins with ${url.protocol}//; write postgres://USER@HOST:PORT/NAME, or leave it out for SQLite`,
    );
  }
  if (url.password !== "") {
    throw new GatewayError(
      "usage",
      "--database has a password in it, and every user of this machine can list arguments; write it into a file of mode 0600 as " +
        "HOST:PORT:NAME:USER:PASSWORD and name that file in PGPASSFILE",
    );
  }
  const socket = url.searchParams.get("host");
  const host = socket ?? (url.hostname === "" ? "localhost" : url.hostname.replace(/^\[(.*)\]$/, "$1"));
  const local = host.startsWith("/") || host === "localhost" || host === "::1" || /^127\./.test(host);
  const rootCertificate = url.searchParams.get("sslrootcert");
  const port = url.port === "" ? 5432 : Number(url.port);
  const database = decodeURIComponent(url.pathname.slice(1)) || "usmp";
  const user = decodeURIComponent(url.username) || "usmp";
  return {
    where: `postgres://${host}:${port}/${database}`,
    local,
    config: {
      host,
      port,
      database,
      user,
      ssl: local ? false : verifyFull(host, rootCertificate),
      application_name: "usmp gateway",
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      statement_timeout: STATEMENT_LIMIT_MS,
      keepAlive: true,
      // bigint: all of ours are counters and milliseconds, which a number holds.
      types: {
        getTypeParser: (oid: number, format?: "text" | "binary") => (oid === INT8 ? Number : parserOf(oid, format)),
      } as never,
    },
  };
}

/** What libpq calls verify-full; the name is checked for addresses too. */
function verifyFull(host: string, rootCertificate: string | null): ClientConfig["ssl"] {
  return {
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    ...(rootCertificate === null ? {} : { ca: readFileSync(rootCertificate, "utf8") }),
  };
}
