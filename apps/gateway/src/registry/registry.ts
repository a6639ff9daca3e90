import type { Secret } from "@usmp/protocol";
import type { AuditLog } from "../audit/audit-log.ts";
import type { MasterSecret } from "../master/master-secret.ts";
import type { Actor, DeadGeneration, Device, DeviceId, KeyOrigin, SeenDevice, Tombstone, WallMs } from "../records.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";

/**
 * The devices and their keys: one interface over SQLite and PostgreSQL. Reads are synchronous, from a copy in memory that every
 * change of this process updates and that a change by another process reaches within seconds. A change resolves when it is durable,
 * with its audit row in the same transaction; when it rejects, nothing of it happened.
 */
export interface Registry {
  readonly audit: AuditLog;
  /** Milliseconds of monotonic time since the copy was last known to be what the database holds. Over STALE_AFTER_MS: fail closed. */
  readonly ageMs: number;
  readonly deviceCount: number;

  device(id: DeviceId): Device | undefined;
  /** In order of id. */
  devices(): Iterable<Device>;
  tombstone(id: DeviceId): Promise<Tombstone | undefined>;
  /** Newest first, at most eight. */
  deadGenerations(id: DeviceId): Promise<readonly DeadGeneration[]>;

  /**
   * Keys to try for a HELLO of this id: always two, whatever the registry says of it; those of kind "decoy" are random and prove
   * nothing. Costs the same for every id. Throws GatewayError "stale" when the copy is too old,
   * "damaged" when the device's sealed key does not open.
   */
  candidates(id: DeviceId): readonly [KeyCandidate, KeyCandidate];
  /** For diagnosis alone: keys that were good once and those of a revoked or suspended device. At most eight; the caller's to wipe. */
  formerKeys(id: DeviceId): Promise<readonly FormerKey[]>;

  add(request: AddRequest, actor: Actor): Promise<Enrolment>;
  /** All or none. */
  addMany(requests: readonly AddRequest[], actor: Actor): Promise<readonly Enrolment[]>;
  rotate(id: DeviceId, options: RotateOptions, actor: Actor): Promise<Enrolment>;
  /** For good: its keys are dead at once. */
  revoke(id: DeviceId, actor: Actor): Promise<Device>;
  suspend(id: DeviceId, actor: Actor): Promise<Device>;
  resume(id: DeviceId, actor: Actor): Promise<Device>;
  rename(id: DeviceId, name: string | undefined, actor: Actor): Promise<Device>;
  retag(
    id: DeviceId,
    change: { readonly add: readonly string[]; readonly remove: readonly string[] },
    actor: Actor,
  ): Promise<Device>;
  delete(id: DeviceId, actor: Actor): Promise<Tombstone>;

  /**
   * A session proved this generation. The first proof of a rotation's new generation ends the old one. Cheap when nothing changes;
   * "last seen" is written in batches.
   */
  noteProven(id: DeviceId, generation: number): Promise<void>;
  /** Ends the graces whose time has come, if the clock is trusted. Call it every second or so; answers at once when none is due. */
  endGraces(): Promise<void>;
  /** Moves the fleet to a new master by generations: each derived key gets a new generation of `next`, with grace. */
  rotateMaster(
    next: NewMaster,
    options: { readonly graceMs: number },
    actor: Actor,
  ): Promise<{ readonly rotation: MasterRotation; readonly enrolments: readonly Enrolment[] }>;
  /** How far a move to a new master is; undefined when none is under way. */
  masterRotation(): MasterRotation | undefined;

  /** Called after each committed change, in order. What ended a generation names it, so that its sessions can be ended. */
  onChange(listener: (change: RegistryChange) => void): () => void;

  setting(name: string): Promise<string | undefined>;
  putSetting(name: string, value: string): Promise<void>;

  /** The ring of refused attempts, newest first, and the devices that were seen: kept over a restart, bounded. */
  loadRefusals(): Promise<readonly RefusalRecord[]>;
  saveRefusals(records: readonly RefusalRecord[]): Promise<void>;
  loadSeen(): Promise<readonly SeenDevice[]>;
  saveSeen(devices: readonly SeenDevice[]): Promise<void>;

  /** The key that a factory gives to devices of a batch is made from this one; the caller's to wipe. */
  factoryKey(batch: string, actor: Actor): Promise<Secret>;
  /** Facts for `doctor`. */
  describe(): Promise<StorageDescription>;
  /** Writes what waits, and lets go of the database and every key. */
  close(): Promise<void>;
}

/** A copy older than this admits nobody new: a revocation might be missing from it. Established sessions live on. */
export const STALE_AFTER_MS = 60_000;

export interface KeyCandidate {
  readonly kind: "current" | "previous" | "decoy";
  /** 0 for a decoy. */
  readonly generation: number;
  /** The caller's to wipe. */
  readonly key: Secret;
}

export interface FormerKey {
  readonly kind: "current" | "old" | "revoked";
  readonly generation: number;
  readonly key: Secret;
}

export interface AddRequest {
  /** Undefined: a random one, locally administered (IEEE 802). */
  readonly id: DeviceId | undefined;
  readonly name: string | undefined;
  readonly tags: readonly string[];
  /** Undefined: derived from the master. Imported keys passed checkKeyStrength() before. */
  readonly key?: { readonly imported: Secret } | { readonly batch: string } | undefined;
}

export interface RotateOptions {
  /** Milliseconds for which the old key stays good. Default 7 days. Ignored when compromised. */
  readonly graceMs: number;
  /** No grace: the old generation is dead at once. Allowed on a rotation that is open, too. */
  readonly compromised: boolean;
  /** A rotation is open and its new key was never proven: replace that key. Without it: GatewayError "rotation-open". */
  readonly replace: boolean;
  readonly imported?: Secret | undefined;
}

/** The one time that a key leaves the registry. The caller shows it once and wipes it. */
export interface Enrolment {
  readonly device: Device;
  readonly generation: number;
  readonly origin: KeyOrigin;
  readonly key: Secret;
}

export interface NewMaster {
  /** Taken over. */
  readonly secret: MasterSecret;
  /** Called before the change: puts the new master beside the old one, durable. */
  prepare(): Promise<void>;
  /** Called after it: makes the new master the one that the next start finds. A crash in between is mended at that start. */
  publish(): Promise<void>;
}

export interface MasterRotation {
  readonly from: string;
  readonly to: string;
  readonly devices: number;
  /** Devices that still have a generation of the old master. */
  readonly remaining: number;
  readonly graceEndsAt: WallMs;
}

export type RegistryChange =
  | { readonly type: "added" | "changed"; readonly id: DeviceId }
  /** End the sessions that proved this generation. */
  | {
      readonly type: "generation-ended";
      readonly id: DeviceId;
      readonly generation: number;
      readonly because: DeadGeneration["because"];
    }
  /** End every session of this device. */
  | { readonly type: "revoked" | "suspended" | "deleted"; readonly id: DeviceId };

export interface StorageDescription {
  readonly kind: "sqlite" | "postgres";
  /** A path, or a URL without user and password. */
  readonly where: string;
  readonly driver: string;
  readonly schema: number;
  readonly devices: number;
  /** Why the audit chain's second place could not be written after the last change. */
  readonly auditHeadProblem: string | undefined;
  /** Why the database could not be reached when it was last tried. */
  readonly problem: string | undefined;
}
