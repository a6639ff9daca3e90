import type { AuditAction, AuditRow } from "../audit/audit-log.ts";
import type { AuditEntry, ChainWriter } from "../audit/chain-writer.ts";
import { GatewayError } from "../errors.ts";
import { messageOf } from "../master/secret-file.ts";
import type { Actor, DeviceId, WallMs } from "../records.ts";
import type { Change } from "./schema.ts";
import type { Storage } from "./storage.ts";

/** One change of the registry while it is made: the transaction, the time it carries, and its rows for the audit. */
export class ChangeScope {
  readonly sql: Change;
  readonly time: WallMs;
  readonly actor: Actor;
  readonly entries: AuditEntry[] = [];
  /** Run once the change is durable, in order. */
  readonly afterwards: (() => void)[] = [];

  constructor(sql: Change, time: WallMs, actor: Actor) {
    this.sql = sql;
    this.time = time;
    this.actor = actor;
  }

  audit(action: AuditAction, device: DeviceId | undefined, detail: AuditRow["detail"]): void {
    this.entries.push({ action, device, detail, who: this.actor.who, from: this.actor.from });
  }

  onceDurable(work: () => void): void {
    this.afterwards.push(work);
  }
}

/**
 * Makes changes, one after the other: transaction, audit rows and the second place of their head together; then the copy in memory; then
 * the answer. After a failure whose outcome is not known (a connection that broke during the commit) everything is read anew first.
 */
export class ChangeRunner {
  readonly #storage: Storage;
  readonly #chain: ChainWriter;
  readonly #now: () => WallMs;
  readonly #reload: () => Promise<void>;
  #turn: Promise<unknown> = Promise.resolve();
  #uncertain = false;

  constructor(storage: Storage, chain: ChainWriter, now: () => WallMs, reload: () => Promise<void>) {
    this.#storage = storage;
    this.#chain = chain;
    this.#now = now;
    this.#reload = reload;
  }

  run<T>(actor: Actor, work: (scope: ChangeScope) => Promise<T>): Promise<T> {
    return this.alone(() => this.#run(actor, work));
  }

  /** Runs while no change is under way. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Reads everything anew if a failure, or another owner in between, left it open what the database holds. Only within alone(). */
  async settle(): Promise<void> {
    if (await this.#storage.ensureOwned()) this.#uncertain = true;
    if (!this.#uncertain) return;
    await this.#reload();
    this.#uncertain = false;
  }

  async #run<T>(actor: Actor, work: (scope: ChangeScope) => Promise<T>): Promise<T> {
    try {
      await this.settle();
      const { scope, result, head } = await this.#storage.db.transaction().execute(async (sql) => {
        const scope = new ChangeScope(sql, this.#now(), actor);
        const result = await work(scope);
        const head = scope.entries.length === 0 ? undefined : await this.#chain.extend(sql, scope.entries, scope.time);
        return { scope, result, head };
      });
      if (head !== undefined) await this.#chain.settle(head);
      for (const work of scope.afterwards) work();
      return result;
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      this.#uncertain = true;
      throw new GatewayError("database", `the database refused the change: ${messageOf(error)}`, { cause: error });
    }
  }
}
