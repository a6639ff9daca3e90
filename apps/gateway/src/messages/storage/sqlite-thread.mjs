/**
 * The thread that holds messages.db: a slow disk, or a long delete, stalls it and nobody else. It is JavaScript so that a process which
 * runs the TypeScript sources can start it as it is.
 *
 * It takes { id, sql, parameters } and answers { id, rows, changes } or { id, error: { message, code } }, in order; { id, end: true } closes.
 */
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

/** @typedef {{ reader?: boolean, all(...parameters: unknown[]): unknown[], run(...parameters: unknown[]): { changes: number | bigint } }} Statement */
/** @typedef {{ prepare(sql: string): Statement, close(): void }} Database */
/** @typedef {{ id: number, sql?: string, parameters?: readonly unknown[], end?: boolean }} Request */

/** @type {{ module: string, path: string, settings: readonly string[] }} */
const { module, path, settings } = workerData;
const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);

/** Statements that answer with rows: better-sqlite3 has a property that says so, node:sqlite takes any for all(). */
const READS = /^\s*(select|with|pragma|values)\b|\breturning\b/i;
/** Prepared statements that are kept; queries are few and alike. */
const MOST_STATEMENTS = 256;

/** @type {Map<string, Statement>} */
const statements = new Map();
/** @type {Database | undefined} */
let database;
/** @type {string | undefined} */
let identity;
let inTransaction = false;

port.on("message", (/** @type {Request} */ request) => {
  const { id } = request;
  try {
    if (request.end) {
      database?.close();
      port.postMessage({ id, rows: [], changes: 0 });
      port.close();
    } else port.postMessage({ id, ...execute(request.sql ?? "", request.parameters ?? []) });
  } catch (error) {
    const { message, code, errcode } = /** @type {Error & { code?: string, errcode?: number }} */ (error);
    port.postMessage({ id, error: { message, code: `${code ?? ""} ${errcode ?? ""}`.trim() } });
  }
});

/** @param {string} sql @param {readonly unknown[]} parameters */
function execute(sql, parameters) {
  // A failure may have ended the transaction already.
  if (sql === "rollback" && !inTransaction) return { rows: [], changes: 0 };
  database ??= open();
  if (sql === "begin") checkIdentity();
  if (sql === "rollback") inTransaction = false;
  const statement = prepared(database, sql);
  const result =
    (statement.reader ?? READS.test(sql))
      ? { rows: statement.all(...parameters), changes: 0 }
      : { rows: [], changes: Number(statement.run(...parameters).changes) };
  if (sql === "begin") inTransaction = true;
  if (sql === "commit") inTransaction = false;
  return result;
}

/** @param {Database} database @param {string} sql */
function prepared(database, sql) {
  const known = statements.get(sql);
  if (known !== undefined) return known;
  const statement = database.prepare(sql);
  if (statements.size >= MOST_STATEMENTS) statements.clear();
  statements.set(sql, statement);
  return statement;
}

function open() {
  const emitWarning = process.emitWarning;
  // node:sqlite says on Node 22 that it is experimental: that is nothing for the user of a gateway.
  process.emitWarning = () => {};
  try {
    const loaded = createRequire(import.meta.url)(module);
    const opened = /** @type {Database} */ (new (loaded.DatabaseSync ?? loaded)(path));
    for (const setting of settings) {
      const statement = opened.prepare(`pragma ${setting}`);
      if (statement.reader ?? true) statement.all();
      else statement.run();
    }
    // Takes the lock, and finds a file that is no database now.
    opened.prepare("begin immediate").run();
    opened.prepare("commit").run();
    identity = identityNow();
    return opened;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** A file that was removed or replaced goes on existing for us alone: what is written to it would be lost. */
function checkIdentity() {
  if (identityNow() !== identity) throw new Error("the file was removed or replaced while it was in use");
}

function identityNow() {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}
