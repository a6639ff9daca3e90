import type { Kysely, Transaction } from "kysely";
import type { DeadGeneration, DeviceState, KeyOrigin } from "../records.ts";

/** The tables, as both databases have them. Times are milliseconds since 1970; `text` columns with JSON say so. */
export interface Tables {
  /** Facts about the whole: "master_id", "revision", "fingerprint_key" (sealed, base64), settings under "setting:". */
  meta: { key: string; value: string };
  devices: {
    id: string;
    name: string | null;
    /** JSON: a list of texts. */
    tags: string;
    state: DeviceState;
    state_since: number;
    /** The highest generation that ever was, good or not. */
    generation: number;
    grace_ends_at: number | null;
    added_at: number;
    changed_at: number;
    last_seen_at: number | null;
  };
  /** Generations that are good now: at most two a device. */
  device_keys: {
    device_id: string;
    generation: number;
    role: "current" | "previous";
    origin: KeyOrigin;
    master_id: string;
    batch: string | null;
    sealed: Uint8Array | null;
    fingerprint: Uint8Array;
    made_at: number;
    proven_at: number | null;
  };
  /** Generations that are good no more, deleted devices' too: their keys may never come back. */
  dead_keys: {
    device_id: string;
    generation: number;
    origin: KeyOrigin;
    master_id: string;
    batch: string | null;
    fingerprint: Uint8Array;
    died_at: number;
    because: DeadGeneration["because"];
  };
  tombstones: { device_id: string; generation: number; deleted_at: number };
  masters: {
    id: string;
    state: "current" | "retiring" | "retired";
    /** Retiring: the secret, sealed under the current master. */
    sealed_secret: Uint8Array | null;
    /** Not current: the audit subkey, sealed under the current master, so that its rows can be verified. */
    sealed_audit: Uint8Array | null;
    since: number;
    grace_ends_at: number | null;
  };
  audit: {
    seq: number;
    time: number;
    action: string;
    device: string | null;
    who: string;
    origin: string;
    /** JSON: an object. */
    detail: string;
    master_id: string;
    mac: Uint8Array;
  };
  /** JSON records by place; the place is used again, so the table does not grow. */
  refusals: { slot: number; record: string };
  seen: { id: string; record: string };
  /** Of the HTTP API. Not in backups: a restore must not bring back a token that was revoked since. */
  tokens: {
    id: string;
    name: string;
    role: string;
    /** SHA-256 of the secret. */
    hash: Uint8Array;
    created_at: number;
    expires_at: number | null;
    last_used_at: number | null;
    revoked_at: number | null;
  };
}

export type Database = Kysely<Tables>;
export type Change = Transaction<Tables>;
