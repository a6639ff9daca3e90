import type { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import { messageOf } from "../master/secret-file.ts";
import type { Change, Database } from "../registry/schema.ts";
import type { AuditProblem, AuditRow } from "./audit-log.ts";
import { GENESIS, rowMac, sameMac, storedRow } from "./chain.ts";
import type { AuditKeyOf, Head, HeadFile } from "./head-file.ts";

/** A row before it has its place in the chain. */
export type AuditEntry = Pick<AuditRow, "action" | "device" | "who" | "from" | "detail">;

const ROWS_AN_INSERT = 500;

/** Appends to the chain; one change at a time. Knows the head, and keeps its second place. */
export class ChainWriter {
  readonly #file: HeadFile;
  #masterId: string;
  #key: Secret;
  #head: Head = { seq: 0, mac: GENESIS };
  /** Why the second place could not be brought up to date after the last change; undefined: it could. */
  headProblem: string | undefined;

  constructor(file: HeadFile, masterId: string, key: Secret) {
    this.#file = file;
    this.#masterId = masterId;
    this.#key = key;
  }

  get head(): Head {
    return this.#head;
  }

  /** Rows from now on are chained under another master's audit key. */
  useKey(masterId: string, key: Secret): void {
    this.#masterId = masterId;
    this.#key = key;
  }

  /** Reads where the database's chain ends. */
  async load(db: Database): Promise<void> {
    const last = await db.selectFrom("audit").select(["seq", "mac"]).orderBy("seq", "desc").limit(1).executeTakeFirst();
    this.#head = last === undefined ? { seq: 0, mac: GENESIS } : { seq: last.seq, mac: new Uint8Array(last.mac) };
  }

  /** What the second place says of the chain that was loaded; undefined: they agree. */
  async compare(db: Database, keyOf: AuditKeyOf): Promise<AuditProblem | undefined> {
    const known = await this.#file.read(keyOf);
    if (known === "missing") return this.#head.seq === 0 ? undefined : "head-missing";
    if (known === "forged") return "head-forged";
    const { committed, prepared } = known;
    if (prepared !== undefined && prepared.seq === this.#head.seq && sameMac(prepared.mac, this.#head.mac))
      return undefined;
    if (this.#head.seq < committed.seq) return "cut";
    const there = committed.seq === this.#head.seq ? this.#head.mac : await macAt(db, committed.seq);
    if (!sameMac(there, committed.mac)) return "recomputed";
    // Rows behind the known head that nobody prepared: somebody else wrote them.
    return this.#head.seq === committed.seq ? undefined : "recomputed";
  }

  /** Inside a change: appends, and prepares the second place. The head moves with settle(). */
  async extend(change: Change, entries: readonly AuditEntry[], time: number): Promise<Head> {
    let { seq, mac } = this.#head;
    const rows = entries.map(({ action, device, who, from, detail }) => {
      const row = { seq: ++seq, time, action, device, who, from, detail, masterId: this.#masterId };
      mac = rowMac(this.#key, mac, row);
      return storedRow(row, mac);
    });
    for (let start = 0; start < rows.length; start += ROWS_AN_INSERT) {
      await change
        .insertInto("audit")
        .values(rows.slice(start, start + ROWS_AN_INSERT))
        .execute();
    }
    const prepared = { seq, mac };
    try {
      await this.#file.write({ committed: this.#head, prepared }, this.#masterId, this.#key, true);
    } catch (error) {
      throw new GatewayError(
        "database",
        `${this.#file.path} cannot be written, so nothing was changed: ${messageOf(error)}`,
        { cause: error },
      );
    }
    return prepared;
  }

  /** The change is in the database. A failure here loses nothing: the prepared head stands in the second place. */
  async settle(head: Head): Promise<void> {
    this.#head = head;
    try {
      await this.#file.write({ committed: head, prepared: undefined }, this.#masterId, this.#key, false);
      this.headProblem = undefined;
    } catch (error) {
      this.headProblem = messageOf(error);
    }
  }
}

async function macAt(db: Database, seq: number): Promise<Uint8Array> {
  if (seq === 0) return GENESIS;
  const row = await db.selectFrom("audit").select("mac").where("seq", "=", seq).executeTakeFirst();
  return row === undefined ? new Uint8Array(0) : new Uint8Array(row.mac);
}
