import { randomBytes } from "node:crypto";
import type { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import type { Device, DeviceId, Tombstone } from "../records.ts";
import type { ChangeScope } from "./change-runner.ts";
import type { DeviceCopy, DeviceEntry, LiveKey } from "./device-copy.ts";
import type { AddRequest, Enrolment, RegistryChange, RotateOptions } from "./registry.ts";
import { checkImported, killKey, storeDevices, storeKeys } from "./device-rows.ts";
import type { Vault } from "./vault.ts";

const DEFAULT_GRACE_MS = 7 * 86_400_000;

/** What can be done to devices: each within one change, on the rows and, once durable, on the copy in memory. */
export class DeviceChanges {
  readonly #vault: Vault;
  readonly #copy: DeviceCopy;
  readonly #emit: (change: RegistryChange) => void;

  constructor(vault: Vault, copy: DeviceCopy, emit: (change: RegistryChange) => void) {
    this.#vault = vault;
    this.#copy = copy;
    this.#emit = emit;
  }

  async add(scope: ChangeScope, requests: readonly AddRequest[]): Promise<readonly Enrolment[]> {
    const given = new Set<DeviceId>();
    const named = requests.map((request) => ({ ...request, id: request.id ?? this.#newId(given) }));
    for (const { id } of named) {
      if (this.#copy.get(id) !== undefined || given.has(id)) throw exists(id, this.#copy.get(id)?.state);
      given.add(id);
    }
    const buried = await highestGenerations(scope, [...given]);
    const added: { readonly entry: DeviceEntry; readonly enrolment: Enrolment; readonly print: Uint8Array }[] = [];
    const prints = new Set<string>();
    for (const request of named) {
      const generation = (buried.get(request.id) ?? 0) + 1;
      const { key, secret, print } = await this.#newKey(scope, request.id, generation, request.key);
      const entry = newEntry(request, generation, key, scope.time);
      const enrolment = { device: this.#copy.view(entry), generation, origin: key.origin, key: secret };
      if (prints.has(Buffer.from(print).toString("base64")))
        throw new GatewayError(
          "key-in-use",
          `the key for ${request.id} stands twice in the list; give each device its own`,
        );
      prints.add(Buffer.from(print).toString("base64"));
      added.push({ entry, enrolment, print });
      scope.audit("device.add", request.id, {
        generation,
        origin: key.origin,
        ...(request.name === undefined ? {} : { name: request.name }),
        ...(request.tags.length === 0 ? {} : { tags: request.tags.join(",") }),
        ...(key.batch === undefined ? {} : { batch: key.batch }),
      });
    }
    await storeDevices(
      scope,
      added.map(({ entry }) => entry),
    );
    await storeKeys(
      scope,
      added.map(({ entry, print }) => ({ id: entry.id, role: "current", key: entry.current as LiveKey, print })),
    );
    if (buried.size > 0) {
      const ids = [...buried.keys()];
      await inPieces(ids, (piece) => scope.sql.deleteFrom("tombstones").where("device_id", "in", piece).execute());
    }
    scope.onceDurable(() => {
      for (const { entry } of added) this.#put(entry, { type: "added", id: entry.id });
    });
    return added.map(({ enrolment }) => enrolment);
  }

  async rotate(scope: ChangeScope, id: DeviceId, options: RotateOptions): Promise<Enrolment> {
    const before = this.#existing(id);
    const { current, previous } = before;
    if (before.state === "revoked" || current === undefined) throw notWhileRevoked(id);
    if (previous !== undefined && !options.compromised && !options.replace) throw rotationOpen(before);
    const generation = before.generation + 1;
    const imported = options.imported === undefined ? undefined : { imported: options.imported };
    const { key, secret, print } = await this.#newKey(scope, id, generation, imported);
    // The device holds the last generation that it proved; a newer one that it never proved is what is replaced.
    const kept = options.compromised ? undefined : (previous ?? current);
    const because = options.compromised ? "compromised" : "replaced";
    const ended = [current, previous].filter((old): old is LiveKey => old !== undefined && old !== kept);
    for (const old of ended) await killKey(scope, id, old.generation, because);
    if (kept !== undefined) await setRole(scope, id, kept.generation);
    await storeKeys(scope, [{ id, role: "current", key, print }]);
    const graceMs = Number.isFinite(options.graceMs) ? options.graceMs : DEFAULT_GRACE_MS;
    const entry: DeviceEntry = {
      ...before,
      generation,
      current: key,
      previous: kept,
      graceEndsAt: kept === undefined ? undefined : scope.time + graceMs,
      changedAt: scope.time,
    };
    await this.#update(scope, entry);
    scope.audit(options.compromised ? "device.rotate-compromised" : "device.rotate", id, {
      generation,
      origin: key.origin,
      ...(kept === undefined ? {} : { previous: kept.generation, graceMs }),
    });
    scope.onceDurable(() => {
      this.#put(entry, { type: "changed", id });
      for (const old of ended) this.#emit({ type: "generation-ended", id, generation: old.generation, because });
    });
    return { device: this.#copy.view(entry), generation, origin: key.origin, key: secret };
  }

  /** The generation before is good no more: the current one was proven, or the grace is over. */
  async endPrevious(scope: ChangeScope, id: DeviceId, how: "proven" | "grace-over"): Promise<void> {
    const before = this.#copy.get(id);
    if (before?.previous === undefined || before.current === undefined) return;
    const { generation } = before.previous;
    await killKey(scope, id, generation, "rotated");
    const current = how === "proven" ? { ...before.current, provenAt: scope.time } : before.current;
    if (how === "proven") await storeProof(scope, id, current.generation);
    const entry = { ...before, current, previous: undefined, graceEndsAt: undefined, changedAt: scope.time };
    await this.#update(scope, entry);
    scope.audit(how === "proven" ? "device.rotation-done" : "device.grace-ended", id, {
      generation: current.generation,
      ended: generation,
    });
    scope.onceDurable(() => {
      this.#put(entry, { type: "changed", id });
      this.#emit({ type: "generation-ended", id, generation, because: "rotated" });
    });
  }

  /** The first proof of a generation that ends no other: one that has none before it, or is itself in its grace. */
  async notePlainProof(scope: ChangeScope, id: DeviceId, generation: number): Promise<void> {
    const before = this.#copy.get(id);
    for (const role of ["current", "previous"] as const) {
      const key = before?.[role];
      if (before === undefined || key?.generation !== generation || key.provenAt !== undefined) continue;
      await storeProof(scope, id, generation);
      const entry = { ...before, [role]: { ...key, provenAt: scope.time } };
      scope.onceDurable(() => this.#put(entry, { type: "changed", id }));
    }
  }

  async revoke(scope: ChangeScope, id: DeviceId): Promise<Device> {
    const before = this.#existing(id);
    if (before.state === "revoked") return this.#copy.view(before);
    for (const key of [before.current, before.previous])
      if (key !== undefined) await killKey(scope, id, key.generation, "revoked");
    const entry: DeviceEntry = {
      ...before,
      state: "revoked",
      stateSince: scope.time,
      current: undefined,
      previous: undefined,
      graceEndsAt: undefined,
      changedAt: scope.time,
    };
    await this.#update(scope, entry);
    scope.audit("device.revoke", id, { generation: before.generation });
    scope.onceDurable(() => this.#put(entry, { type: "revoked", id }));
    return this.#copy.view(entry);
  }

  async setSuspended(scope: ChangeScope, id: DeviceId, suspended: boolean): Promise<Device> {
    const before = this.#existing(id);
    if (before.state === "revoked") throw notWhileRevoked(id);
    const state = suspended ? "suspended" : "active";
    if (before.state === state) return this.#copy.view(before);
    const entry: DeviceEntry = { ...before, state, stateSince: scope.time, changedAt: scope.time };
    await this.#update(scope, entry);
    scope.audit(suspended ? "device.suspend" : "device.resume", id, {});
    scope.onceDurable(() => this.#put(entry, { type: suspended ? "suspended" : "changed", id }));
    return this.#copy.view(entry);
  }

  async describe(
    scope: ChangeScope,
    id: DeviceId,
    change: { readonly name: string | undefined } | { readonly tags: readonly string[] },
  ): Promise<Device> {
    const entry: DeviceEntry = { ...this.#existing(id), ...change, changedAt: scope.time };
    await this.#update(scope, entry);
    if ("name" in change) scope.audit("device.rename", id, { name: change.name ?? "" });
    else scope.audit("device.tag", id, { tags: change.tags.join(",") });
    scope.onceDurable(() => this.#put(entry, { type: "changed", id }));
    return this.#copy.view(entry);
  }

  async delete(scope: ChangeScope, id: DeviceId): Promise<Tombstone> {
    const before = this.#existing(id);
    for (const key of [before.current, before.previous])
      if (key !== undefined) await killKey(scope, id, key.generation, "deleted");
    const tombstone = { id, generation: before.generation, deletedAt: scope.time };
    await scope.sql.deleteFrom("devices").where("id", "=", id).execute();
    await scope.sql
      .insertInto("tombstones")
      .values({ device_id: id, generation: tombstone.generation, deleted_at: tombstone.deletedAt })
      .execute();
    scope.audit("device.delete", id, { generation: tombstone.generation });
    scope.onceDurable(() => {
      this.#copy.remove(id);
      this.#emit({ type: "deleted", id });
    });
    return tombstone;
  }

  /** A key for a generation: derived, a factory's, or brought along. */
  async #newKey(
    scope: ChangeScope,
    id: DeviceId,
    generation: number,
    wanted: AddRequest["key"],
  ): Promise<{ readonly key: LiveKey; readonly secret: Secret; readonly print: Uint8Array }> {
    const keys = this.#vault.current;
    const base = { generation, masterId: keys.masterId, madeAt: scope.time, provenAt: undefined };
    let key: LiveKey;
    if (wanted === undefined) key = { ...base, origin: "derived", batch: undefined, sealed: undefined };
    else if ("batch" in wanted) key = { ...base, origin: "factory", batch: wanted.batch, sealed: undefined };
    else {
      await checkImported(scope, id, this.#vault.fingerprint(wanted.imported));
      const sealed = keys.seal(wanted.imported, { id, generation, purpose: "device-key" });
      key = { ...base, origin: "imported", batch: undefined, sealed };
    }
    const secret = this.#vault.open(id, key);
    return { key, secret, print: this.#vault.fingerprint(secret) };
  }

  #newId(given: ReadonlySet<DeviceId>): DeviceId {
    for (;;) {
      const bytes = randomBytes(6);
      bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02; // locally administered, unicast (IEEE 802): no maker's device
      const id = bytes.toString("hex").replaceAll(/..(?=.)/g, "$&:");
      if (this.#copy.get(id) === undefined && !given.has(id)) return id;
    }
  }

  #existing(id: DeviceId): DeviceEntry {
    const entry = this.#copy.get(id);
    if (entry === undefined) {
      throw new GatewayError(
        "unknown-device",
        `no device ${id}; "usmp device list" shows those there are, "usmp device add ${id}" enrols it`,
      );
    }
    return entry;
  }

  #put(entry: DeviceEntry, change: RegistryChange): void {
    this.#copy.put(entry);
    this.#emit(change);
  }

  async #update(scope: ChangeScope, entry: DeviceEntry): Promise<void> {
    await scope.sql
      .updateTable("devices")
      .set({
        name: entry.name ?? null,
        tags: JSON.stringify(entry.tags),
        state: entry.state,
        state_since: entry.stateSince,
        generation: entry.generation,
        grace_ends_at: entry.graceEndsAt ?? null,
        changed_at: entry.changedAt,
      })
      .where("id", "=", entry.id)
      .execute();
  }
}

function newEntry(
  request: AddRequest & { readonly id: DeviceId },
  generation: number,
  key: LiveKey,
  now: number,
): DeviceEntry {
  return {
    id: request.id,
    name: request.name,
    tags: request.tags,
    state: "active",
    stateSince: now,
    generation,
    graceEndsAt: undefined,
    addedAt: now,
    changedAt: now,
    current: key,
    previous: undefined,
  };
}

/** What deleted devices' tombstones and dead keys say: their generations are never used again. */
async function highestGenerations(scope: ChangeScope, ids: readonly DeviceId[]): Promise<Map<DeviceId, number>> {
  const highest = new Map<DeviceId, number>();
  await inPieces(ids, async (piece) => {
    const rows = await scope.sql.selectFrom("tombstones").selectAll().where("device_id", "in", piece).execute();
    for (const { device_id, generation } of rows) highest.set(device_id, generation);
  });
  return highest;
}

async function inPieces<T>(items: readonly T[], work: (piece: readonly T[]) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += 1_000) await work(items.slice(start, start + 1_000));
}

async function setRole(scope: ChangeScope, id: DeviceId, generation: number): Promise<void> {
  await scope.sql
    .updateTable("device_keys")
    .set({ role: "previous" })
    .where("device_id", "=", id)
    .where("generation", "=", generation)
    .execute();
}

async function storeProof(scope: ChangeScope, id: DeviceId, generation: number): Promise<void> {
  await scope.sql
    .updateTable("device_keys")
    .set({ proven_at: scope.time })
    .where("device_id", "=", id)
    .where("generation", "=", generation)
    .execute();
}

function exists(id: DeviceId, state: string | undefined): GatewayError {
  const how =
    state === "revoked"
      ? `it is revoked; "usmp device delete ${id}" and then add gives it a new key, and the old one stays dead`
      : `"usmp device show ${id}" shows it, "usmp device rotate ${id}" gives it a new key`;
  return new GatewayError(
    "device-exists",
    state === undefined ? `${id} stands twice in the list` : `device ${id} exists: ${how}`,
  );
}

function notWhileRevoked(id: DeviceId): GatewayError {
  return new GatewayError(
    "device-state",
    `device ${id} is revoked for good; "usmp device delete ${id}" and "usmp device add ${id}" give it a new key`,
  );
}

function rotationOpen({ id, current, graceEndsAt }: DeviceEntry): GatewayError {
  return new GatewayError(
    "rotation-open",
    `device ${id} has not proven generation ${current?.generation} yet, and the one before is good until ${new Date(graceEndsAt ?? 0).toISOString()}; ` +
      "--replace makes another in place of the unproven one, --compromised ends the old one now",
  );
}
