import type { Database } from "../registry/schema.ts";
import type { AuditAction, AuditProblem, AuditRow, AuditVerdict } from "./audit-log.ts";
import { GENESIS, rowMac, sameMac } from "./chain.ts";
import type { ChainWriter } from "./chain-writer.ts";
import type { AuditKeyOf } from "./head-file.ts";

const ROWS_A_READ = 1_000;

/** The rows from `from` on, in order, read in pieces. */
export async function* auditRows(db: Database, from = 1): AsyncGenerator<AuditRow> {
  for (let next = from; ; ) {
    const rows = await db
      .selectFrom("audit")
      .selectAll()
      .where("seq", ">=", next)
      .orderBy("seq")
      .limit(ROWS_A_READ)
      .execute();
    for (const { seq, time, action, device, who, origin, detail, master_id, mac } of rows) {
      yield {
        seq,
        time,
        action: action as AuditAction,
        device: device ?? undefined,
        who,
        from: origin,
        detail: readDetail(detail),
        masterId: master_id,
        mac: Buffer.from(mac).toString("hex"),
      };
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < ROWS_A_READ) return;
    next = last.seq + 1;
  }
}

/** Reads the whole chain, and holds its end against the second place. */
export async function verifyAudit(db: Database, writer: ChainWriter, keyOf: AuditKeyOf): Promise<AuditVerdict> {
  let previous = GENESIS;
  let expected = 1;
  let anomaly: { readonly seq: number; readonly problem: AuditProblem } | undefined;
  for await (const row of auditRows(db)) {
    if (row.seq !== expected) return wrong(expected, "gap");
    const key = keyOf(row.masterId);
    const mac = new Uint8Array(Buffer.from(row.mac, "hex"));
    if (key === undefined || !sameMac(mac, rowMac(key, previous, row))) return wrong(row.seq, "changed");
    if (row.action === "audit.anomaly")
      anomaly ??= { seq: row.seq, problem: String(row.detail["problem"]) as AuditProblem };
    if (row.action === "audit.accept") anomaly = undefined;
    previous = mac;
    expected++;
  }
  const last = expected - 1;
  if (last < writer.head.seq) return wrong(last + 1, "cut");
  if (last === writer.head.seq && !sameMac(previous, writer.head.mac)) return wrong(last, "recomputed");
  const problem = await writer.compare(db, keyOf);
  if (problem !== undefined) return wrong(problem === "cut" ? last + 1 : last, problem);
  if (anomaly !== undefined)
    return wrong(anomaly.seq, anomaly.problem, `noticed at a start of the gateway, in row ${anomaly.seq}: `);
  return { ok: true, rows: last, head: Buffer.from(previous).toString("hex") };
}

function readDetail(text: string): AuditRow["detail"] {
  try {
    return JSON.parse(text) as AuditRow["detail"];
  } catch {
    return { unreadable: text }; // a changed row: its MAC will say so
  }
}

function wrong(seq: number, problem: AuditProblem, noticed = ""): AuditVerdict {
  return { ok: false, seq, problem, says: noticed + SAYS[problem].replace("N", String(seq)) };
}

const SAYS: Readonly<Record<AuditProblem, string>> = {
  changed: "row N was changed, or one before it was taken out or put in",
  gap: "row N is missing",
  cut: "rows from N on were cut off: the second place (audit.head) knows of them",
  recomputed:
    "the chain ends otherwise, at row N, than the second place (audit.head) says: it was written anew by someone who has the master secret",
  "head-missing": "the second place (audit.head) is missing: whether rows behind N were cut off cannot be told",
  "head-forged":
    "the second place (audit.head) was not written by this gateway: whether rows behind N were cut off cannot be told",
};
