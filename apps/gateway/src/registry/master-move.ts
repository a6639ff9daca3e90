import { GatewayError } from "../errors.ts";
import { DeviceKeys } from "../keys/device-keys.ts";
import type { MasterSecret } from "../master/master-secret.ts";
import type { ChangeScope } from "./change-runner.ts";
import type { DeviceCopy, DeviceEntry, LiveKey } from "./device-copy.ts";
import { killKey, storeKeys } from "./device-rows.ts";
import type { Enrolment, MasterRotation } from "./registry.ts";
import type { Database } from "./schema.ts";
import type { Vault } from "./vault.ts";

/** A move of the fleet from one master to the next, by generations. */
export class MasterMove {
  readonly #vault: Vault;
  readonly #copy: DeviceCopy;
  /** The former master while some key still depends on it. */
  #retiring: { readonly id: string; readonly graceEndsAt: number } | undefined;

  constructor(vault: Vault, copy: DeviceCopy) {
    this.#vault = vault;
    this.#copy = copy;
  }

  async load(db: Database): Promise<void> {
    const row = await db.selectFrom("masters").selectAll().where("state", "=", "retiring").executeTakeFirst();
    this.#retiring = row === undefined ? undefined : { id: row.id, graceEndsAt: row.grace_ends_at ?? 0 };
  }

  get rotation(): MasterRotation | undefined {
    if (this.#retiring === undefined) return undefined;
    const { id, graceEndsAt } = this.#retiring;
    return {
      from: id,
      to: this.#vault.master.id,
      devices: this.#copy.size,
      remaining: this.#remaining(id),
      graceEndsAt,
    };
  }

  /**
   * Gives every device whose key comes from the present master a generation of `next`, with grace; seals every key that was brought along
   * under `next`. `next` is taken over once the change is durable.
   */
  async begin(
    scope: ChangeScope,
    next: MasterSecret,
    graceMs: number,
  ): Promise<{ enrolments: readonly Enrolment[]; rotation: MasterRotation }> {
    if (this.#retiring !== undefined) {
      throw new GatewayError(
        "rotation-open",
        `${this.#remaining(this.#retiring.id)} devices still have keys of master ${this.#retiring.id}; wait for them, or rotate them with --compromised`,
      );
    }
    const from = this.#vault.master;
    const keys = new DeviceKeys(next);
    const graceEndsAt = scope.time + graceMs;
    const moved: { readonly entry: DeviceEntry; readonly enrolment: Enrolment | undefined }[] = [];
    for (const entry of this.#copy.entries()) {
      if (entry.current !== undefined) moved.push(await this.#moveDevice(scope, entry, keys, graceEndsAt));
    }
    await this.#moveSecrets(scope, from, next, keys, graceEndsAt);
    const enrolments = moved.flatMap(({ enrolment }) => (enrolment === undefined ? [] : [enrolment]));
    scope.audit("master.rotate", undefined, { from: from.id, to: next.id, devices: enrolments.length, graceMs });
    scope.onceDurable(() => {
      for (const { entry } of moved) this.#copy.put(entry);
      this.#vault.moveTo(next);
      this.#retiring = { id: from.id, graceEndsAt };
    });
    keys.wipe();
    const rotation = {
      from: from.id,
      to: next.id,
      devices: this.#copy.size,
      remaining: enrolments.length,
      graceEndsAt,
    };
    return { enrolments, rotation };
  }

  /** True when a former master may go: no key depends on it any more. */
  get finished(): boolean {
    return this.#retiring !== undefined && this.#remaining(this.#retiring.id) === 0;
  }

  async finish(scope: ChangeScope): Promise<void> {
    const id = this.#retiring?.id;
    if (id === undefined || this.#remaining(id) > 0) return;
    await scope.sql
      .updateTable("masters")
      .set({ state: "retired", sealed_secret: null })
      .where("id", "=", id)
      .execute();
    scope.audit("master.retire", undefined, { master: id });
    scope.onceDurable(() => {
      this.#retiring = undefined;
      this.#vault.dropMaster(id);
    });
  }

  async #moveDevice(
    scope: ChangeScope,
    before: DeviceEntry,
    keys: DeviceKeys,
    graceEndsAt: number,
  ): Promise<{ readonly entry: DeviceEntry; readonly enrolment: Enrolment | undefined }> {
    const current = await this.#reseal(scope, before.id, before.current as LiveKey, keys);
    const previous = before.previous && (await this.#reseal(scope, before.id, before.previous, keys));
    if (current.origin === "imported") return { entry: { ...before, current, previous }, enrolment: undefined };
    // What the device proved last stays good; a key that it never proved, in an overlap, is replaced.
    const kept = previous ?? current;
    if (kept !== current) await killKey(scope, before.id, current.generation, "replaced");
    else
      await scope.sql.updateTable("device_keys").set({ role: "previous" }).where("device_id", "=", before.id).execute();
    const generation = before.generation + 1;
    const key: LiveKey = {
      generation,
      origin: "derived",
      masterId: keys.masterId,
      batch: undefined,
      sealed: undefined,
      madeAt: scope.time,
      provenAt: undefined,
    };
    const secret = keys.derive(before.id, generation);
    await storeKeys(scope, [{ id: before.id, role: "current", key, print: this.#vault.fingerprint(secret) }]);
    const entry: DeviceEntry = {
      ...before,
      generation,
      current: key,
      previous: kept,
      graceEndsAt,
      changedAt: scope.time,
    };
    await scope.sql
      .updateTable("devices")
      .set({ generation, grace_ends_at: graceEndsAt, changed_at: scope.time })
      .where("id", "=", before.id)
      .execute();
    return { entry, enrolment: { device: this.#copy.view(entry), generation, origin: "derived", key: secret } };
  }

  async #reseal(scope: ChangeScope, id: string, key: LiveKey, keys: DeviceKeys): Promise<LiveKey> {
    if (key.origin !== "imported") return key;
    const secret = this.#vault.open(id, key);
    const sealed = keys.seal(secret, { id, generation: key.generation, purpose: "device-key" });
    secret.wipe();
    await scope.sql
      .updateTable("device_keys")
      .set({ sealed: Buffer.from(sealed), master_id: keys.masterId })
      .where("device_id", "=", id)
      .where("generation", "=", key.generation)
      .execute();
    return { ...key, sealed, masterId: keys.masterId };
  }

  async #moveSecrets(
    scope: ChangeScope,
    from: MasterSecret,
    next: MasterSecret,
    keys: DeviceKeys,
    graceEndsAt: number,
  ): Promise<void> {
    const retired = await scope.sql.selectFrom("masters").select("id").where("state", "=", "retired").execute();
    for (const { id } of retired) {
      const sealed = Buffer.from(this.#vault.resealAudit(id, keys));
      await scope.sql.updateTable("masters").set({ sealed_audit: sealed }).where("id", "=", id).execute();
    }
    await this.#vault.storeMessageKeys(scope.sql, keys);
    const sealed = this.#vault.sealMaster(from, keys);
    await scope.sql
      .updateTable("masters")
      .set({
        state: "retiring",
        sealed_secret: Buffer.from(sealed.secret),
        sealed_audit: Buffer.from(sealed.audit),
        grace_ends_at: graceEndsAt,
      })
      .where("id", "=", from.id)
      .execute();
    await scope.sql
      .insertInto("masters")
      .values({
        id: next.id,
        state: "current",
        sealed_secret: null,
        sealed_audit: null,
        since: scope.time,
        grace_ends_at: null,
      })
      .execute();
    const fingerprintKey = Buffer.from(this.#vault.sealFingerprintKey(keys)).toString("base64");
    await scope.sql.updateTable("meta").set({ value: next.id }).where("key", "=", "master_id").execute();
    await scope.sql.updateTable("meta").set({ value: fingerprintKey }).where("key", "=", "fingerprint_key").execute();
  }

  #remaining(masterId: string): number {
    let remaining = 0;
    for (const { current, previous } of this.#copy.entries()) {
      if (current?.masterId === masterId || previous?.masterId === masterId) remaining++;
    }
    return remaining;
  }
}
