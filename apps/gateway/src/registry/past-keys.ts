import type { DeadGeneration, DeviceId } from "../records.ts";
import type { DeviceEntry } from "./device-copy.ts";
import type { FormerKey } from "./registry.ts";
import type { Database } from "./schema.ts";
import type { Vault } from "./vault.ts";

const MOST = 8;

/** Newest first. */
export async function listDead(db: Database, id: DeviceId): Promise<readonly DeadGeneration[]> {
  const rows = await db
    .selectFrom("dead_keys")
    .selectAll()
    .where("device_id", "=", id)
    .orderBy("generation", "desc")
    .limit(MOST)
    .execute();
  return rows.map((row) => ({
    id,
    generation: row.generation,
    origin: row.origin,
    masterId: row.master_id,
    batch: row.batch ?? undefined,
    diedAt: row.died_at,
    because: row.because,
  }));
}

/** Keys that a refused device may hold. A dead key that was brought along is gone for good, and so is one of a master that was retired. */
export async function formerKeys(
  db: Database,
  vault: Vault,
  entry: DeviceEntry | undefined,
  id: DeviceId,
): Promise<readonly FormerKey[]> {
  const found: FormerKey[] = [];
  for (const key of [entry?.current, entry?.previous]) {
    if (key !== undefined) found.push({ kind: "current", generation: key.generation, key: vault.open(id, key) });
  }
  for (const { generation, origin, masterId, batch, because } of await listDead(db, id)) {
    if (found.length === MOST || origin === "imported" || !vault.holds(masterId)) continue;
    const key = vault.open(id, { generation, origin, masterId, batch, sealed: undefined });
    found.push({ kind: because === "revoked" ? "revoked" : "old", generation, key });
  }
  return found;
}
