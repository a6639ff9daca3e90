import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Kysely } from "kysely";
import { GatewayError } from "../../errors.ts";
import { codeOf, messageOf } from "../../master/secret-file.ts";
import { sqliteModule } from "../../registry/sqlite-driver.ts";
import type { MessageTables, MessageTransaction } from "../schema.ts";
import { LiveMessageStorage } from "./live-storage.ts";
import type { MessageStorage } from "./message-storage.ts";
import type { Rows, WideTable } from "./tables.ts";
import { rawQuery, ThreadDialect } from "./thread-dialect.ts";

/** Whose commits are on the disk when they return; only this process has the file open. */
const SETTINGS = [
  "busy_timeout = 200",
  "locking_mode = exclusive",
  "journal_mode = wal",
  "synchronous = full",
  "journal_size_limit = 67108864",
  "temp_store = memory",
  "trusted_schema = off",
  "cell_size_check = on",
] as const;

/** Rows of one statement: each size is prepared once. SQLite takes 32,766 parameters. */
const LARGEST_STATEMENT = 256;

/** Opens DIR/messages.db. Throws GatewayError "already-running", "damaged", "database", "no-sqlite", "newer-schema". */
export async function openSqliteMessages(dataDirectory: string): Promise<MessageStorage> {
  const path = join(dataDirectory, "messages.db");
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const explain = (error: unknown): GatewayError => explainSqlite(error, path);
  try {
    // SQLite would make it readable for the group; its journal takes the same mode.
    if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
  } catch (error) {
    throw explain(error);
  }
  const dialect = new ThreadDialect({ module: sqliteModule(), path, settings: SETTINGS });
  const db = new Kysely<MessageTables>({ dialect });
  return LiveMessageStorage.open({
    kind: "sqlite",
    where: path,
    db,
    ensureOwned: async () => false,
    insertAll: insertRows,
    // A transaction looks whether the file is there still.
    check: () =>
      db.transaction().execute(async (sql) => {
        await sql.selectFrom("messages_meta").select("value").execute();
      }),
    explain,
    close: () => db.destroy(),
  });
}

/** Statements for 256, 128, … 1 rows: they are under way together, since the thread answers in order. */
async function insertRows(
  change: MessageTransaction,
  { name, columns, repeatable }: WideTable,
  rows: Rows,
): Promise<void> {
  const conflict = repeatable ? " on conflict do nothing" : "";
  const names = Object.keys(columns);
  const row = `(${names.map(() => "?").join(", ")})`;
  const statements: Promise<unknown>[] = [];
  for (let done = 0, size = LARGEST_STATEMENT; done < rows.length; ) {
    if (size > rows.length - done) {
      size /= 2;
      continue;
    }
    const values = Array.from({ length: size }, () => row).join(", ");
    const sql = `insert into ${name} (${names.join(", ")}) values ${values}${conflict}`;
    statements.push(change.executeQuery(rawQuery(sql, rows.slice(done, done + size).flat())));
    done += size;
  }
  const failed = (await Promise.allSettled(statements)).find(({ status }) => status === "rejected");
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
}

/** SQLite's own words, and node:sqlite's numbers of the same: FULL 13, READONLY 8, IOERR 10, CANTOPEN 14, BUSY 5, CORRUPT 11, NOTADB 26. */
function explainSqlite(error: unknown, path: string): GatewayError {
  const said = `${codeOf(error) ?? ""} ${messageOf(error)}`;
  const fail = (code: "already-running" | "damaged" | "database", advice: string): GatewayError =>
    new GatewayError(code, `${path}: ${messageOf(error)}; ${advice}`, { cause: error });
  if (/SQLITE_BUSY|database is locked/i.test(said)) {
    return fail("already-running", "another gateway runs on this data directory; --data DIR chooses another");
  }
  if (/SQLITE_NOTADB|SQLITE_CORRUPT|not a database|malformed/i.test(said)) {
    return fail(
      "damaged",
      "move the file away, and a new one is made; the messages in it, those that wait for devices too, are lost",
    );
  }
  if (/SQLITE_FULL|ENOSPC|is full/i.test(said)) {
    return fail("database", "free some room on that disk, or keep fewer messages (--keep-bytes)");
  }
  if (/SQLITE_READONLY|EROFS|EACCES|readonly|SQLITE_CANTOPEN|unable to open/i.test(said)) {
    return fail("database", "make the disk and the directory writable for the user that runs the gateway");
  }
  if (/SQLITE_IOERR|EIO|disk I\/O/i.test(said)) {
    return fail("database", "the disk fails: look into the system's log, and move the data directory to another disk");
  }
  return fail("database", "bring the file back, or start the gateway again");
}
