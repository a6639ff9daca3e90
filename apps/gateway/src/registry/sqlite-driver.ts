import { createRequire } from "node:module";
import type { SqliteDatabase } from "kysely";
import { GatewayError } from "../errors.ts";

export interface OpenedSqlite {
  readonly database: SqliteDatabase;
  readonly driver: string;
}

/** SQLite by what this Node has: node:sqlite from 22.13 on, else better-sqlite3. Throws GatewayError "no-sqlite" with both ways out. */
export function openSqlite(path: string): OpenedSqlite {
  const builtIn = loadNodeSqlite();
  if (builtIn !== undefined) {
    return {
      database: adaptNodeSqlite(new builtIn.DatabaseSync(path)),
      driver: `node:sqlite, Node ${process.versions.node}`,
    };
  }
  const BetterSqlite = loadBetterSqlite();
  return { database: new BetterSqlite(path), driver: "better-sqlite3" };
}

/** What a thread of its own loads to open a database: the module's name or file. Throws GatewayError "no-sqlite". */
export function sqliteModule(): string {
  if (loadNodeSqlite() !== undefined) return "node:sqlite";
  loadBetterSqlite();
  return createRequire(import.meta.url).resolve("better-sqlite3");
}

interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => NodeDatabase;
}

interface NodeDatabase {
  prepare(sql: string): NodeStatement;
  close(): void;
}

interface NodeStatement {
  all(...parameters: unknown[]): unknown[];
  run(...parameters: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  iterate(...parameters: unknown[]): IterableIterator<unknown>;
}

/** Loading it prints that it is experimental, on Node 22: that is nothing for the user of a gateway. */
function loadNodeSqlite(): NodeSqlite | undefined {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 22 || (major === 22 && minor < 13)) return undefined;
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return createRequire(import.meta.url)("node:sqlite") as NodeSqlite;
  } catch {
    return undefined; // a Node that was built without it
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Statements that answer with rows; node:sqlite has no such property before 23.11. */
const READS = /^\s*(select|with|pragma|values)\b|\breturning\b/i;

function adaptNodeSqlite(database: NodeDatabase): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      return {
        reader: READS.test(sql),
        all: (parameters) => statement.all(...parameters),
        run: (parameters) => statement.run(...parameters),
        iterate: (parameters) => statement.iterate(...parameters),
      };
    },
  };
}

function loadBetterSqlite(): new (path: string) => SqliteDatabase {
  try {
    return createRequire(import.meta.url)("better-sqlite3") as new (
      path: string,
    ) => SqliteDatabase;
  } catch (error) {
    throw new GatewayError(
      "no-sqlite",
      `no SQLite here: use Node 22.13 or newer, which has it built in, or install a compiler (Debian: apt install build-essential python3) and run "npm rebuild better-sqlite3"`,
      { cause: error },
    );
  }
}
