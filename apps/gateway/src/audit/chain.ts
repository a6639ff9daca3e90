import { createHmac, timingSafeEqual } from "node:crypto";
import type { Secret } from "@usmp/protocol";
import type { Tables } from "../registry/schema.ts";
import type { AuditRow } from "./audit-log.ts";

/** Before the first row. */
export const GENESIS: Uint8Array = new Uint8Array(32);

/** HMAC-SHA256(audit key, mac of the row before || canonical JSON of the row without its mac). */
export function rowMac(key: Secret, previous: Uint8Array, row: Omit<AuditRow, "mac">): Uint8Array {
  return createHmac("sha256", key.expose()).update(previous).update(canonical(row)).digest();
}

export function sameMac(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A row as the database has it. */
export function storedRow(row: Omit<AuditRow, "mac">, mac: Uint8Array): Tables["audit"] {
  const { seq, time, action, device, who, from, detail, masterId } = row;
  return {
    seq,
    time,
    action,
    device: device ?? null,
    who,
    origin: from,
    detail: JSON.stringify(detail),
    master_id: masterId,
    mac: Buffer.from(mac),
  };
}

/** One spelling per row: fields in this order, the detail's in order of name. */
function canonical({ seq, time, action, device, who, from, detail, masterId }: Omit<AuditRow, "mac">): string {
  const sorted = Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([seq, time, action, device ?? null, who, from, sorted, masterId]);
}
