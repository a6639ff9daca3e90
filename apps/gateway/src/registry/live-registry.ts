import { addMs, type Secret } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { AuditLog } from "../audit/audit-log.ts";
import type { ChainWriter } from "../audit/chain-writer.ts";
import { GatewayError } from "../errors.ts";
import { messageOf } from "../master/secret-file.ts";
import type { Actor, DeadGeneration, Device, DeviceId, SeenDevice, Tombstone } from "../records.ts";
import type { WallClock } from "../time/wall-clock.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";
import type { ChangeRunner, ChangeScope } from "./change-runner.ts";
import type { DeviceChanges } from "./device-changes.ts";
import type { DeviceCopy } from "./device-copy.ts";
import { KeptRecords } from "./kept-records.ts";
import type { MasterMove } from "./master-move.ts";
import { SCHEMA } from "./migrate.ts";
import { formerKeys, listDead } from "./past-keys.ts";
import { ProofQueue } from "./proof-queue.ts";
import {
  type AddRequest,
  type Enrolment,
  type FormerKey,
  type KeyCandidate,
  type MasterRotation,
  type NewMaster,
  type Registry,
  type RegistryChange,
  type RotateOptions,
  STALE_AFTER_MS,
  type StorageDescription,
} from "./registry.ts";
import type { Storage } from "./storage.ts";
import type { Vault } from "./vault.ts";

/** What a registry is made of: openRegistry() puts it together. */
export interface RegistryParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly copy: DeviceCopy;
  readonly chain: ChainWriter;
  readonly runner: ChangeRunner;
  readonly changes: DeviceChanges;
  readonly move: MasterMove;
  readonly audit: AuditLog;
  readonly listeners: Set<(change: RegistryChange) => void>;
  readonly wallClock: WallClock;
  readonly clock: Clock;
}

/** How often the database is asked whether it is there; also when the rest of the housekeeping is done. */
const CHECK_EVERY_MS = 5_000;
const GATEWAY: Actor = { who: "gateway", from: "timer" };
/** Both places of every look-up cost the same: two keys that are good, one, or none. */
const PLACES = ["current", "previous"] as const;

/** The running registry: see Registry. */
export class LiveRegistry implements Registry {
  readonly audit: AuditLog;
  readonly #parts: RegistryParts;
  readonly #kept: KeptRecords;
  readonly #proofs: ProofQueue;
  #contactAt: ReturnType<Clock["now"]>;
  #problem: string | undefined;
  #cancelCheck: (() => void) | undefined;
  #closed = false;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.audit = parts.audit;
    this.#kept = new KeptRecords(parts.storage.db, parts.copy);
    this.#proofs = new ProofQueue(
      (proofs) => this.#change(GATEWAY, (scope) => this.#recordProofs(scope, proofs)),
      parts.clock,
    );
    this.#contactAt = parts.clock.now();
    this.#scheduleCheck();
  }

  get ageMs(): number {
    return this.#parts.clock.now() - this.#contactAt;
  }

  get deviceCount(): number {
    return this.#parts.copy.size;
  }

  device(id: DeviceId): Device | undefined {
    const { copy } = this.#parts;
    const entry = copy.get(id);
    return entry === undefined ? undefined : copy.view(entry);
  }

  *devices(): Iterable<Device> {
    const { copy } = this.#parts;
    for (const id of copy.ids()) {
      const entry = copy.get(id);
      if (entry !== undefined) yield copy.view(entry);
    }
  }

  async tombstone(id: DeviceId): Promise<Tombstone | undefined> {
    const row = await this.#parts.storage.db
      .selectFrom("tombstones")
      .selectAll()
      .where("device_id", "=", id)
      .executeTakeFirst();
    return row === undefined ? undefined : { id, generation: row.generation, deletedAt: row.deleted_at };
  }

  deadGenerations(id: DeviceId): Promise<readonly DeadGeneration[]> {
    return listDead(this.#parts.storage.db, id);
  }

  candidates(id: DeviceId): readonly [KeyCandidate, KeyCandidate] {
    const { copy, vault } = this.#parts;
    const entry = copy.get(id);
    const admitted = entry?.state === "active" ? entry : undefined;
    const [first, second] = PLACES.map((kind): KeyCandidate => {
      const key = admitted?.[kind];
      const secret = vault.openEvenly(id, key);
      return key === undefined
        ? { kind: "decoy", generation: 0, key: secret }
        : { kind, generation: key.generation, key: secret };
    });
    if (this.ageMs > STALE_AFTER_MS) {
      first?.key.wipe();
      second?.key.wipe();
      throw new GatewayError(
        "stale",
        `the database has not been reached for ${Math.round(this.ageMs / 1000)} s: nobody new is admitted`,
      );
    }
    return [first as KeyCandidate, second as KeyCandidate];
  }

  formerKeys(id: DeviceId): Promise<readonly FormerKey[]> {
    const { storage, vault, copy } = this.#parts;
    return formerKeys(storage.db, vault, copy.get(id), id);
  }

  async add(request: AddRequest, actor: Actor): Promise<Enrolment> {
    const [enrolment] = await this.addMany([request], actor);
    return enrolment as Enrolment;
  }

  addMany(requests: readonly AddRequest[], actor: Actor): Promise<readonly Enrolment[]> {
    return this.#change(actor, (scope) => this.#parts.changes.add(scope, requests));
  }

  rotate(id: DeviceId, options: RotateOptions, actor: Actor): Promise<Enrolment> {
    return this.#change(actor, (scope) => this.#parts.changes.rotate(scope, id, options));
  }

  revoke(id: DeviceId, actor: Actor): Promise<Device> {
    return this.#change(actor, (scope) => this.#parts.changes.revoke(scope, id));
  }

  suspend(id: DeviceId, actor: Actor): Promise<Device> {
    return this.#change(actor, (scope) => this.#parts.changes.setSuspended(scope, id, true));
  }

  resume(id: DeviceId, actor: Actor): Promise<Device> {
    return this.#change(actor, (scope) => this.#parts.changes.setSuspended(scope, id, false));
  }

  rename(id: DeviceId, name: string | undefined, actor: Actor): Promise<Device> {
    return this.#change(actor, (scope) => this.#parts.changes.describe(scope, id, { name }));
  }

  retag(
    id: DeviceId,
    change: { readonly add: readonly string[]; readonly remove: readonly string[] },
    actor: Actor,
  ): Promise<Device> {
    return this.#change(actor, (scope) => {
      const kept = (this.#parts.copy.get(id)?.tags ?? []).filter((tag) => !change.remove.includes(tag));
      return this.#parts.changes.describe(scope, id, { tags: [...new Set([...kept, ...change.add])].sort() });
    });
  }

  delete(id: DeviceId, actor: Actor): Promise<Tombstone> {
    return this.#change(actor, (scope) => this.#parts.changes.delete(scope, id));
  }

  noteProven(id: DeviceId, generation: number): Promise<void> {
    const { copy, wallClock } = this.#parts;
    const entry = copy.get(id);
    if (entry === undefined) return Promise.resolve();
    this.#kept.noteSeen(id, wallClock.now());
    const { current, previous } = entry;
    const news =
      (current?.generation === generation && (current.provenAt === undefined || previous !== undefined)) ||
      (previous?.generation === generation && previous.provenAt === undefined);
    return news ? this.#proofs.add(id, generation) : Promise.resolve();
  }

  async endGraces(): Promise<void> {
    const { copy, wallClock, changes } = this.#parts;
    if (copy.rotating.size === 0 || wallClock.doubt !== undefined) return;
    const now = wallClock.now();
    const due = [...copy.rotating].filter((id) => (copy.get(id)?.graceEndsAt ?? Number.POSITIVE_INFINITY) <= now);
    if (due.length === 0) return;
    await this.#change(GATEWAY, async (scope) => {
      for (const id of due) await changes.endPrevious(scope, id, "grace-over");
    });
    await this.#retireMaster();
  }

  async rotateMaster(
    next: NewMaster,
    { graceMs }: { readonly graceMs: number },
    actor: Actor,
  ): Promise<{ readonly rotation: MasterRotation; readonly enrolments: readonly Enrolment[] }> {
    const { move, chain, vault } = this.#parts;
    await next.prepare();
    const moved = await this.#change(actor, async (scope) => {
      const outcome = await move.begin(scope, next.secret, graceMs);
      scope.onceDurable(() => chain.useKey(vault.master.id, vault.auditKey(vault.master.id) as Secret));
      return outcome;
    });
    await next.publish();
    await this.#retireMaster();
    return moved;
  }

  masterRotation(): MasterRotation | undefined {
    return this.#parts.move.rotation;
  }

  async factoryKey(batch: string, actor: Actor): Promise<Secret> {
    await this.audit.append("factory-key", { batch }, actor);
    return this.#parts.vault.current.batchKey(batch);
  }

  onChange(listener: (change: RegistryChange) => void): () => void {
    this.#parts.listeners.add(listener);
    return () => this.#parts.listeners.delete(listener);
  }

  setting(name: string): Promise<string | undefined> {
    return this.#kept.setting(name);
  }

  putSetting(name: string, value: string): Promise<void> {
    return this.#kept.putSetting(name, value);
  }

  loadRefusals(): Promise<readonly RefusalRecord[]> {
    return this.#kept.loadRefusals();
  }

  saveRefusals(records: readonly RefusalRecord[]): Promise<void> {
    return this.#kept.saveRefusals(records);
  }

  loadSeen(): Promise<readonly SeenDevice[]> {
    return this.#kept.loadSeen();
  }

  saveSeen(devices: readonly SeenDevice[]): Promise<void> {
    return this.#kept.saveSeen(devices);
  }

  async describe(): Promise<StorageDescription> {
    const { storage, copy, chain } = this.#parts;
    const { kind, where, driver } = storage;
    return {
      kind,
      where,
      driver,
      schema: SCHEMA,
      devices: copy.size,
      auditHeadProblem: chain.headProblem,
      problem: this.#problem,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelCheck?.();
    const { storage, vault, runner, wallClock } = this.#parts;
    await this.#proofs.close();
    await runner
      .alone(async () => {
        await this.#kept.flushSeen();
        if (wallClock.doubt === undefined) await this.#kept.putSetting(LAST_RUN, String(wallClock.now()));
      })
      .catch(() => {}); // a database that is gone: what waited is no more than when devices were last seen
    await storage.close();
    vault.wipe();
  }

  async #change<T>(actor: Actor, work: (scope: ChangeScope) => Promise<T>): Promise<T> {
    const result = await this.#parts.runner.run(actor, work);
    this.#noteContact();
    return result;
  }

  async #recordProofs(scope: ChangeScope, proofs: ReadonlyMap<DeviceId, number>): Promise<void> {
    const { copy, changes } = this.#parts;
    for (const [id, generation] of proofs) {
      const entry = copy.get(id);
      if (entry?.current?.generation === generation && entry.previous !== undefined) {
        await changes.endPrevious(scope, id, "proven");
      } else await changes.notePlainProof(scope, id, generation);
    }
  }

  async #retireMaster(): Promise<void> {
    if (this.#parts.move.finished) await this.#change(GATEWAY, (scope) => this.#parts.move.finish(scope));
  }

  #noteContact(): void {
    this.#contactAt = this.#parts.clock.now();
    this.#problem = undefined;
  }

  #scheduleCheck(): void {
    const { clock } = this.#parts;
    this.#cancelCheck = clock.schedule(addMs(clock.now(), CHECK_EVERY_MS), () => {
      void this.#check().finally(() => {
        if (!this.#closed) this.#scheduleCheck();
      });
    });
  }

  /** Never rejects: what goes wrong is told by ageMs and describe(). */
  async #check(): Promise<void> {
    const { runner, storage, wallClock } = this.#parts;
    const asked = this.#parts.clock.now();
    try {
      await runner.alone(async () => {
        await runner.settle();
        await storage.check();
        await this.#kept.flushSeen();
        if (wallClock.doubt === undefined) await this.#kept.putSetting(LAST_RUN, String(wallClock.now()));
      });
      this.#noteContact();
      this.#contactAt = asked; // what was read is as old as the question
      await this.#proofs.retry();
      await this.#retireMaster();
    } catch (error) {
      this.#problem = messageOf(error);
    }
  }
}

/** The setting that holds when the clock was last trusted. */
export const LAST_RUN = "clock.last-run";
