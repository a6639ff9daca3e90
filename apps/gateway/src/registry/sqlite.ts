import { type BigIntStats, closeSync, existsSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { Kysely, SqliteAdapter, SqliteDialect } from "kysely";
import { GatewayError } from "../errors.ts";
import { codeOf, messageOf } from "../master/secret-file.ts";
import type { Tables } from "./schema.ts";
import { openSqlite } from "./sqlite-driver.ts";
import type { Storage } from "./storage.ts";

/**
 * The file is held with an exclusive lock, so that a second gateway on the same directory is refused; a commit is on the disk when it
 * returns; what is deleted is overwritten, since sealed keys are among it.
 */
const SETTINGS = [
  "busy_timeout = 200",
  "locking_mode = exclusive",
  "journal_mode = wal",
  "synchronous = full",
  "foreign_keys = on",
  "secure_delete = on",
  "temp_store = memory",
  "trusted_schema = off",
  "cell_size_check = on",
] as const;

/** Opens DIR/usmp.db, made when it is missing. Throws GatewayError "already-running", "damaged", "database", "no-sqlite". */
export function openSqliteStorage(dataDirectory: string): Storage {
  const path = join(dataDirectory, "usmp.db");
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  // SQLite would make it readable for the group; its journal takes the same mode.
  if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
  const { database, driver } = openSqlite(path);
  try {
    for (const setting of SETTINGS) {
      const statement = database.prepare(`pragma ${setting}`);
      if (statement.reader) statement.all([]);
      else statement.run([]);
    }
    // Takes the lock, and finds a file that is no database now, not at the first change.
    database.prepare("begin immediate").run([]);
    database.prepare("commit").run([]);
    const [verdict] = database.prepare("pragma quick_check(1)").all([]) as { quick_check: string }[];
    if (verdict?.quick_check !== "ok")
      throw new GatewayError("damaged", damaged(path, verdict?.quick_check ?? "no answer"));
  } catch (error) {
    database.close();
    throw explain(error, path);
  }
  const opened = identity(path);
  const db = new Kysely<Tables>({ dialect: new TransactionalDialect({ database }) });
  return {
    kind: "sqlite",
    where: path,
    driver,
    local: true,
    db,
    async ensureOwned() {
      // A file that was removed or replaced goes on existing for us alone: what is written to it would be lost.
      if (identity(path) !== opened)
        throw new GatewayError("database", `${path} was removed or replaced while it was in use`);
      return false;
    },
    async check() {
      await this.ensureOwned();
      await db.selectFrom("meta").select("value").where("key", "=", "revision").execute();
    },
    async copyBeforeMigration(schema) {
      const copies = join(dataDirectory, "copies");
      mkdirSync(copies, { recursive: true, mode: 0o700 });
      const copy = join(copies, `usmp-schema-${schema}-${new Date().toISOString().replaceAll(":", "")}.db`);
      closeSync(openSync(copy, "wx", 0o600));
      database.prepare("vacuum into ?").run([copy]);
    },
    close: () => db.destroy(),
  };
}

/** SQLite can take back a change of the schema; kysely's own adapter does not use that, and would leave half a migration behind. */
class TransactionalDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }
}

class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function identity(path: string): string | undefined {
  const stats: BigIntStats | undefined = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}

function explain(error: unknown, path: string): unknown {
  if (error instanceof GatewayError) return error;
  const said = `${codeOf(error) ?? ""} ${messageOf(error)}`;
  if (/SQLITE_BUSY|database is locked/i.test(said)) {
    return new GatewayError(
      "already-running",
      `${path} is in use: another gateway runs on this data directory; --data DIR chooses another`,
      {
        cause: error,
      },
    );
  }
  if (/SQLITE_NOTADB|SQLITE_CORRUPT|not a database|malformed/i.test(said))
    return new GatewayError("damaged", damaged(path, messageOf(error)));
  return new GatewayError("database", `${path}: ${messageOf(error)}`, { cause: error });
}

function damaged(path: string, problem: string): string {
  return (
    `${path} is damaged (${problem}); the gateway does not start on it. Move the file away and run "usmp restore BACKUP", or take the newest ` +
    "file of copies/ in the same directory"
  );
}
