import { GatewayError } from "../errors.ts";
import type { DeadGeneration, DeviceId } from "../records.ts";
import type { ChangeScope } from "./change-runner.ts";
import type { DeviceEntry, LiveKey } from "./device-copy.ts";

/** Rows in one statement: PostgreSQL takes 65,535 parameters, SQLite 32,766. */
const ROWS_AN_INSERT = 1_000;

export async function storeDevices(scope: ChangeScope, entries: readonly DeviceEntry[]): Promise<void> {
  for (let start = 0; start < entries.length; start += ROWS_AN_INSERT) {
    const rows = entries.slice(start, start + ROWS_AN_INSERT).map((entry) => ({
      id: entry.id,
      name: entry.name ?? null,
      tags: JSON.stringify(entry.tags),
      state: entry.state,
      state_since: entry.stateSince,
      generation: entry.generation,
      grace_ends_at: entry.graceEndsAt ?? null,
      added_at: entry.addedAt,
      changed_at: entry.changedAt,
      last_seen_at: null,
    }));
    await scope.sql.insertInto("devices").values(rows).execute();
  }
}

export interface KeyRow {
  readonly id: DeviceId;
  readonly role: "current" | "previous";
  readonly key: LiveKey;
  /** Vault.fingerprint of the key. */
  readonly print: Uint8Array;
}

export async function storeKeys(scope: ChangeScope, keys: readonly KeyRow[]): Promise<void> {
  for (let start = 0; start < keys.length; start += ROWS_AN_INSERT) {
    const rows = keys.slice(start, start + ROWS_AN_INSERT).map(({ id, role, key, print }) => ({
      device_id: id,
      generation: key.generation,
      role,
      origin: key.origin,
      master_id: key.masterId,
      batch: key.batch ?? null,
      sealed: key.sealed === undefined ? null : Buffer.from(key.sealed),
      fingerprint: Buffer.from(print),
      made_at: key.madeAt,
      proven_at: key.provenAt ?? null,
    }));
    await scope.sql.insertInto("device_keys").values(rows).execute();
  }
}

/** The generation is good no more: its sealed key goes, its fingerprint stays, so that it can never come back. */
export async function killKey(
  scope: ChangeScope,
  id: DeviceId,
  generation: number,
  because: DeadGeneration["because"],
): Promise<void> {
  const key = await scope.sql
    .deleteFrom("device_keys")
    .where("device_id", "=", id)
    .where("generation", "=", generation)
    .returning(["origin", "master_id", "batch", "fingerprint"])
    .executeTakeFirstOrThrow();
  await scope.sql
    .insertInto("dead_keys")
    .values({
      ...key,
      fingerprint: Buffer.from(key.fingerprint),
      device_id: id,
      generation,
      died_at: scope.time,
      because,
    })
    .execute();
}

/** A key that was brought along may be no other device's, and none that has died. It never says whose. */
export async function checkImported(scope: ChangeScope, id: DeviceId, print: Uint8Array): Promise<void> {
  const fingerprint = Buffer.from(print);
  const dead = await scope.sql
    .selectFrom("dead_keys")
    .select("because")
    .where("fingerprint", "=", fingerprint)
    .executeTakeFirst();
  if (dead !== undefined) {
    throw new GatewayError(
      "dead-key",
      `the key for ${id} was good here once and is dead (${dead.because}): it may never be used again; make a new one with "usmp keygen"`,
    );
  }
  const live = await scope.sql
    .selectFrom("device_keys")
    .select("device_id")
    .where("fingerprint", "=", fingerprint)
    .executeTakeFirst();
  if (live !== undefined) {
    throw new GatewayError(
      "key-in-use",
      live.device_id === id
        ? `the key for ${id} is the one that it has already; make a new one with "usmp keygen"`
        : `the key for ${id} is another device's (keys are compared as HMAC sees them): whoever has one could be the other; make a key for each with "usmp keygen"`,
    );
  }
}
