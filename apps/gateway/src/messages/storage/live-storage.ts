import { GatewayError } from "../../errors.ts";
import type { MessageDatabase, MessageTransaction } from "../schema.ts";
import { MessageIds } from "./message-ids.ts";
import type { MessageChange, MessageStorage } from "./message-storage.ts";
import { migrateMessages } from "./migrate.ts";
import type { Rows, WideTable } from "./tables.ts";

/** What the two databases do each in their own way. */
export interface MessageBackend {
  readonly kind: MessageStorage["kind"];
  readonly where: string;
  readonly db: MessageDatabase;
  /** Before a transaction. True when the database is ours anew. Rejects when it is not. */
  ensureOwned(): Promise<boolean>;
  insertAll(change: MessageTransaction, table: WideTable, rows: Rows): Promise<void>;
  check(): Promise<void>;
  /** Says of a failure what to do about it. */
  explain(error: unknown): GatewayError;
  close(): Promise<void>;
}

export class LiveMessageStorage implements MessageStorage {
  readonly #backend: MessageBackend;
  readonly #ids: MessageIds = new MessageIds();
  readonly #listeners: Set<() => void> = new Set();
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(backend: MessageBackend) {
    this.#backend = backend;
  }

  /** Takes the backend over. */
  static async open(backend: MessageBackend): Promise<LiveMessageStorage> {
    const storage = new LiveMessageStorage(backend);
    try {
      await migrateMessages(backend.db, backend.where);
      await storage.#ids.load(backend.db);
      // From now on ids can be taken even if the database goes away.
      await storage.transaction(async () => {});
    } catch (error) {
      await backend.close().catch(() => {});
      throw error instanceof GatewayError ? error : backend.explain(error);
    }
    return storage;
  }

  get kind(): MessageStorage["kind"] {
    return this.#backend.kind;
  }

  get where(): string {
    return this.#backend.where;
  }

  get db(): MessageDatabase {
    return this.#backend.db;
  }

  transaction<T>(work: (change: MessageChange) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => this.#transact(work));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  takeId(): number {
    return this.#ids.take();
  }

  onOwnedAnew(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async check(): Promise<void> {
    try {
      await this.#backend.check();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #transact<T>(work: (change: MessageChange) => Promise<T>): Promise<T> {
    const { db } = this.#backend;
    try {
      if (await this.#backend.ensureOwned()) {
        await this.#ids.load(db);
        for (const listener of this.#listeners) listener();
      }
      const { result, reserved } = await db.transaction().execute(async (sql) => {
        const reserved = await this.#ids.reserve(sql);
        const change = {
          sql,
          takeId: () => this.#ids.take(),
          insertAll: (table: WideTable, rows: Rows) => this.#backend.insertAll(sql, table, rows),
        };
        return { result: await work(change), reserved };
      });
      this.#ids.settle(reserved);
      return result;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): GatewayError {
    return error instanceof GatewayError ? error : this.#backend.explain(error);
  }

  async #close(): Promise<void> {
    await this.transaction(({ sql }) => this.#ids.giveBack(sql)).catch(() => {});
    await this.#backend.close();
  }
}
