import {
  type AuditAction,
  type AuditLog,
  type AuditRow,
  type AuditVerdict,
  REFUSAL_ROWS_A_DAY,
  type RefusalSummary,
  type SendSummary,
} from "../audit/audit-log.ts";
import type { ChainWriter } from "../audit/chain-writer.ts";
import { auditRows, verifyAudit } from "../audit/verify.ts";
import { type Actor, formatTime } from "../records.ts";
import type { ChangeRunner } from "./change-runner.ts";
import type { Change, Database } from "./schema.ts";
import type { Vault } from "./vault.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const LISTENER: Actor = { who: "strangers", from: "listener" };
const QUEUE: Actor = { who: "gateway", from: "queue" };

/** The audit as the rest of the gateway sees it: see AuditLog. */
export class AuditAccess implements AuditLog {
  readonly #db: Database;
  readonly #runner: ChangeRunner;
  readonly #chain: ChainWriter;
  readonly #vault: Vault;
  readonly #budget: RefusalBudget = new RefusalBudget();

  constructor(db: Database, runner: ChangeRunner, chain: ChainWriter, vault: Vault) {
    this.#db = db;
    this.#runner = runner;
    this.#chain = chain;
    this.#vault = vault;
  }

  append(action: AuditAction, detail: AuditRow["detail"], actor: Actor): Promise<void> {
    return this.#runner.run(actor, (scope) => Promise.resolve(scope.audit(action, undefined, detail)));
  }

  async appendRefusals(rows: readonly RefusalSummary[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#runner.run(LISTENER, async (scope) => {
      await this.#budget.load(scope.sql, scope.time);
      const { written, more } = this.#budget.take(rows, scope.time);
      for (const { minute, cause, source, count } of written) {
        scope.audit("refused", undefined, { minute: formatTime(minute), cause, source, count });
      }
      if (more !== undefined) scope.audit("refused.more", undefined, more);
    });
  }

  async appendSends(rows: readonly SendSummary[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#runner.run(QUEUE, (scope) => {
      for (const { device, actor, messages, first, last } of rows)
        scope.entries.push({ action: "message.send", device, detail: { messages, first, last }, ...actor });
      return Promise.resolve();
    });
  }

  get headSeq(): number {
    return this.#chain.head.seq;
  }

  rows(from?: number): AsyncIterable<AuditRow> {
    return auditRows(this.#db, from);
  }

  verify(): Promise<AuditVerdict> {
    return this.#runner.alone(async () => {
      await this.#runner.settle();
      return verifyAudit(this.#db, this.#chain, (masterId) => this.#vault.auditKey(masterId));
    });
  }
}

/** Rows for refused attempts are bounded by day; what has no room is counted, in one row an hour. */
class RefusalBudget {
  #dayEndsAt = 0;
  #rows = 0;
  #loaded = false;
  #unwritten = 0;
  #sources = 0;
  #moreAfter = 0;

  /** A restart does not begin the day anew. */
  async load(db: Change, now: number): Promise<void> {
    if (this.#loaded) return;
    const { count } = await db
      .selectFrom("audit")
      .select((select) => select.fn.countAll<number>().as("count"))
      .where("action", "=", "refused")
      .where("time", ">", now - DAY_MS)
      .executeTakeFirstOrThrow();
    this.#rows = Number(count);
    this.#dayEndsAt = now + DAY_MS;
    this.#loaded = true;
  }

  take(
    rows: readonly RefusalSummary[],
    now: number,
  ): { readonly written: readonly RefusalSummary[]; readonly more: AuditRow["detail"] | undefined } {
    if (now >= this.#dayEndsAt || now < this.#dayEndsAt - DAY_MS) {
      this.#rows = 0;
      this.#dayEndsAt = now + DAY_MS;
    }
    const room = Math.max(0, REFUSAL_ROWS_A_DAY - this.#rows);
    const written = rows.slice(0, room);
    this.#rows += written.length;
    for (const { count } of rows.slice(room)) {
      this.#unwritten += count;
      this.#sources++;
    }
    if (this.#unwritten === 0 || now < this.#moreAfter) return { written, more: undefined };
    const more = { attempts: this.#unwritten, minutesOfSources: this.#sources };
    this.#unwritten = 0;
    this.#sources = 0;
    this.#moreAfter = now + HOUR_MS;
    return { written, more };
  }
}
