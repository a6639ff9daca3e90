import { Worker } from "node:worker_threads";
import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

/** What sqlite-thread.mjs is started with. */
export interface ThreadOptions {
  /** "node:sqlite", or the file of better-sqlite3. */
  readonly module: string;
  readonly path: string;
  /** Pragmas. */
  readonly settings: readonly string[];
}

/** An error of SQLite's: its words, and its code, such as "SQLITE_FULL" or "ERR_SQLITE_ERROR 13". */
class ThreadError extends Error {
  override readonly name = "ThreadError";
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

interface Answer {
  readonly id: number;
  readonly rows?: unknown[];
  readonly changes?: number;
  readonly error?: { readonly message: string; readonly code: string };
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

// The same place from src/ and from dist/: the package ships both.
const THREAD: URL = new URL("../../../src/messages/storage/sqlite-thread.mjs", import.meta.url);

/** SQLite in a thread of its own. Queries are answered in order; a transaction has the connection for itself. */
export class ThreadDialect implements Dialect {
  readonly #thread: SqliteThread;

  constructor(options: ThreadOptions) {
    this.#thread = new SqliteThread(options);
  }

  createDriver(): Driver {
    return this.#thread;
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }

  // biome-ignore lint/suspicious/noExplicitAny: kysely's interface
  createIntrospector(db: Kysely<any>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

/** SQLite can take back a change of the schema; kysely's own adapter does not use that, and would leave half a migration behind. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class SqliteThread implements Driver, DatabaseConnection {
  readonly #worker: Worker;
  readonly #waiting: Map<number, Waiting> = new Map();
  #asked = 0;
  #turn: Promise<void> = Promise.resolve();
  #release: () => void = () => {};
  #dead: Error | undefined;

  constructor(workerData: ThreadOptions) {
    this.#worker = new Worker(THREAD, { workerData, name: "usmp messages" });
    this.#worker.on("message", (answer: Answer) => this.#onAnswer(answer));
    this.#worker.on("error", (error) => this.#die(error));
    this.#worker.on("exit", () => this.#die(new Error("the thread of the message database has ended")));
  }

  async init(): Promise<void> {}

  /** One connection, handed on in the order in which it was asked for. */
  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#turn;
    let release = (): void => {};
    this.#turn = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    this.#release = release;
    return this;
  }

  async releaseConnection(): Promise<void> {
    this.#release();
  }

  async beginTransaction(): Promise<void> {
    await this.#ask("begin", []);
  }

  async commitTransaction(): Promise<void> {
    await this.#ask("commit", []);
  }

  async rollbackTransaction(): Promise<void> {
    // It would hide what went wrong before.
    await this.#ask("rollback", []).catch(() => {});
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes } = await this.#ask(sql, parameters);
    return { rows: (rows ?? []) as R[], numAffectedRows: BigInt(changes ?? 0) };
  }

  // biome-ignore lint/correctness/useYield: it cannot stream
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("the message database does not stream; read it in pages");
  }

  async destroy(): Promise<void> {
    if (this.#dead === undefined) await this.#request({ end: true }).catch(() => {});
    await this.#worker.terminate();
  }

  #ask(sql: string, parameters: readonly unknown[]): Promise<Answer> {
    return this.#request({ sql, parameters });
  }

  #request(body: object): Promise<Answer> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      const id = this.#asked++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...body });
    });
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new ThreadError(answer.error.message, answer.error.code));
  }

  #die(error: Error): void {
    this.#dead ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#dead);
    this.#waiting.clear();
  }
}

/** For statements that are not built, but written. */
export function rawQuery(sql: string, parameters: readonly unknown[]): CompiledQuery {
  return CompiledQuery.raw(sql, [...parameters]);
}
