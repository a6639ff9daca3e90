import type { Actor, DeviceId, WallMs } from "../records.ts";

/** What can be done to keys and devices. Closed: `usmp audit export` and the documentation list it. */
export type AuditAction =
  | "gateway.first-start"
  | "gateway.start"
  | "device.add"
  | "device.rotate"
  | "device.rotate-compromised"
  | "device.rotation-done"
  | "device.grace-ended"
  | "device.revoke"
  | "device.suspend"
  | "device.resume"
  | "device.rename"
  | "device.tag"
  | "device.delete"
  | "master.rotate"
  | "master.retire"
  | "factory-key"
  | "backup"
  | "restore"
  | "clock.confirm"
  /** One row for a sender's messages to a device, of a minute at most. */
  | "message.send"
  | "message.cancel"
  | "token.add"
  | "token.revoke"
  /** Something is wrong with the chain or its second place; verify() fails until "audit.accept". */
  | "audit.anomaly"
  | "audit.accept"
  | "refused"
  /** Refused attempts that had no room in their day. */
  | "refused.more";

/** One row. `mac` chains it: HMAC-SHA256(audit key, mac of the row before || canonical JSON of this row). */
export interface AuditRow {
  /** 1 for the first; without a gap. */
  readonly seq: number;
  readonly time: WallMs;
  readonly action: AuditAction;
  readonly device: DeviceId | undefined;
  readonly who: string;
  readonly from: string;
  /** Small facts, never a key: generation, name, cause, count, source. */
  readonly detail: Readonly<Record<string, string | number | boolean>>;
  readonly masterId: string;
  /** Hex. */
  readonly mac: string;
}

/** Append-only, chained, its head kept in a second place (DIR/audit.head). Changes of the registry append in their own transaction. */
export interface AuditLog {
  /** For what changes no device: starts, backups. */
  append(action: AuditAction, detail: AuditRow["detail"], actor: Actor): Promise<void>;
  /** One row per cause, source and minute, of at most REFUSAL_ROWS_A_DAY: gw2's ring counts attempts and hands over closed minutes. */
  appendRefusals(rows: readonly RefusalSummary[]): Promise<void>;
  /** What was sent to whom and by whom, never what. */
  appendSends(rows: readonly SendSummary[]): Promise<void>;
  /** The newest row's; 0 when there is none. */
  readonly headSeq: number;
  rows(from?: number): AsyncIterable<AuditRow>;
  verify(): Promise<AuditVerdict>;
}

/** Messages that one sender queued for one device; their numbers are among those from `first` to `last`. */
export interface SendSummary {
  readonly device: DeviceId;
  readonly actor: Actor;
  readonly messages: number;
  readonly first: number;
  readonly last: number;
}

export interface RefusalSummary {
  /** Start of the minute. */
  readonly minute: WallMs;
  readonly cause: string;
  readonly source: string;
  readonly count: number;
}

/**
 * changed: a row's MAC is wrong. gap: a row is missing inside. cut: rows at the end are missing. recomputed: the chain is right by itself and
 * is not the one that the second place knows. head-missing, head-forged: the second place is gone, or was written by somebody else.
 */
export type AuditProblem = "changed" | "gap" | "cut" | "recomputed" | "head-missing" | "head-forged";

/** Rows for refused attempts in 24 hours, at most; the rest share one row an hour. So a stranger cannot fill the disk: about 0.6 MB a day. */
export const REFUSAL_ROWS_A_DAY = 2_000;

export type AuditVerdict =
  | { readonly ok: true; readonly rows: number; readonly head: string }
  | {
      readonly ok: false;
      /** The first row that is wrong, or the first that is missing. */
      readonly seq: number;
      readonly problem: AuditProblem;
      readonly says: string;
    };
