import type { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import type { Actor, DeviceId } from "../records.ts";
import { formatTime, type WallMs } from "../records.ts";
import type { ChangeRunner, ChangeScope } from "../registry/change-runner.ts";
import type { DeviceCopy } from "../registry/device-copy.ts";
import { SCHEMA } from "../registry/migrate.ts";
import type { Database, Tables } from "../registry/schema.ts";
import type { Vault } from "../registry/vault.ts";
import { type BackupContent, type BackupRows, backedTables, encodeContent } from "./content.ts";
import { type Present, planRestore, type RestorePlan } from "./plan.ts";
import { type BackupSeal, sealBackup } from "./seal.ts";

export interface BackupParts {
  readonly db: Database;
  readonly runner: ChangeRunner;
  readonly vault: Vault;
  readonly copy: DeviceCopy;
  /** The master is in the backup when it lies in a file of the gateway's own; a KMS keeps its own. */
  readonly includesMaster: boolean;
  readonly now: () => WallMs;
  /** Reads the copy in memory anew. */
  readonly reload: () => Promise<void>;
}

/** Backups of a registry that is open, and what a backup would change in it. */
export class BackupAccess {
  readonly #parts: BackupParts;

  constructor(parts: BackupParts) {
    this.#parts = parts;
  }

  /** A sealed backup of this moment: no change happens while it is read. The audit gets its row first, so the backup has it. */
  async write(seal: BackupSeal, actor: Actor): Promise<Uint8Array> {
    const { runner, copy } = this.#parts;
    await runner.run(actor, async (scope) =>
      scope.audit("backup", undefined, { devices: copy.size, sealed: seal.kind }),
    );
    const packed = await runner.alone(() => this.#read());
    try {
      return await sealBackup(packed, seal);
    } finally {
      packed.fill(0);
    }
  }

  async plan(content: BackupContent): Promise<RestorePlan> {
    return planRestore(content, await this.#present());
  }

  /**
   * Brings back what the plan says: devices that are missing here or older. What died here stays dead; what died in the backup dies here too.
   * Throws GatewayError "master-mismatch" when keys of the backup belong to a master that is not in use here.
   */
  async merge(content: BackupContent, actor: Actor): Promise<RestorePlan> {
    const { runner, vault, reload } = this.#parts;
    const foreign = content.rows.device_keys.find(({ master_id }) => !vault.holds(master_id));
    if (foreign !== undefined) {
      throw new GatewayError(
        "master-mismatch",
        `the backup has keys of master ${foreign.master_id}, and this data directory has master ${vault.master.id}: restore into an empty one`,
      );
    }
    const plan = await this.plan(content);
    const restored = new Set(plan.changes.filter(({ change }) => change === "restored").map(({ id }) => id));
    await runner.run(actor, async (scope) => {
      await bury(scope, content.rows);
      for (const id of restored) await replaceDevice(scope, content.rows, id);
      scope.audit("restore", undefined, {
        madeAt: plan.madeAt,
        restored: restored.size,
        kept: plan.changes.length - restored.size,
      });
    });
    await runner.alone(reload);
    return plan;
  }

  async #read(): Promise<Uint8Array> {
    const { db, vault, includesMaster, now } = this.#parts;
    const rows = {} as Record<string, unknown[]>;
    for (const table of backedTables()) rows[table] = await db.selectFrom(table).selectAll().execute();
    const secret = includesMaster ? vault.master.copy() : undefined;
    const master = secret === undefined ? undefined : hexOf(secret);
    secret?.wipe();
    const madeAt = formatTime(now());
    const header = { format: "usmp backup 1", madeAt, masterId: vault.master.id, schema: SCHEMA, master } as const;
    return encodeContent({ header, rows: rows as unknown as BackupRows });
  }

  async #present(): Promise<Map<DeviceId, Present>> {
    const { db, copy } = this.#parts;
    const present = new Map<DeviceId, Present>();
    for (const { device_id, generation } of await db.selectFrom("tombstones").selectAll().execute()) {
      present.set(device_id, { device: undefined, buried: generation });
    }
    for (const { id, state, generation } of copy.entries())
      present.set(id, { device: { state, generation }, buried: undefined });
    return present;
  }
}

/** What is dead in the backup is dead here; a tombstone keeps the higher generation. */
async function bury(scope: ChangeScope, rows: BackupRows): Promise<void> {
  for (const row of rows.dead_keys) {
    await scope.sql
      .insertInto("dead_keys")
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  for (const row of rows.tombstones) {
    const here = await scope.sql.selectFrom("devices").select("id").where("id", "=", row.device_id).executeTakeFirst();
    if (here !== undefined) continue; // enrolled again since
    await scope.sql
      .insertInto("tombstones")
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

async function replaceDevice(scope: ChangeScope, rows: BackupRows, id: DeviceId): Promise<void> {
  const device = rows.devices.find((row) => row.id === id) as Tables["devices"];
  const keys = rows.device_keys.filter(({ device_id }) => device_id === id);
  await scope.sql.deleteFrom("device_keys").where("device_id", "=", id).execute();
  await scope.sql.deleteFrom("devices").where("id", "=", id).execute();
  await scope.sql.deleteFrom("tombstones").where("device_id", "=", id).execute();
  await scope.sql
    .insertInto("devices")
    .values({ ...device, changed_at: scope.time })
    .execute();
  for (const key of keys) {
    const dead = await scope.sql
      .selectFrom("dead_keys")
      .select("because")
      .where("fingerprint", "=", Buffer.from(key.fingerprint))
      .executeTakeFirst();
    if (dead === undefined) await scope.sql.insertInto("device_keys").values(key).execute();
  }
}

function hexOf(secret: Secret): string {
  return Buffer.from(secret.expose()).toString("hex");
}
