/**
 * The records that the gateway keeps. Device ids are "aa:bb:cc:dd:ee:ff". Times are milliseconds since 1970 of the wall clock (`WallMs`);
 * JSON shows them as RFC 3339 UTC with milliseconds (formatTime). No record holds a key.
 */

export type DeviceId = string;
export type WallMs = number;

/** Where a generation's key comes from: the master, a factory's batch key, or its owner, who brought it along. */
export type KeyOrigin = "derived" | "factory" | "imported";

export type DeviceState = "active" | "suspended" | "revoked";

/** One generation of a device's key that is good now. */
export interface KeyGeneration {
  readonly generation: number;
  readonly origin: KeyOrigin;
  /** The master that it is derived from, or sealed under: MasterSecret.id. */
  readonly masterId: string;
  /** Factory keys: the batch. */
  readonly batch: string | undefined;
  readonly madeAt: WallMs;
  /** When a session first proved it; undefined: never. */
  readonly provenAt: WallMs | undefined;
}

/** An enrolled device. */
export interface Device {
  readonly id: DeviceId;
  readonly name: string | undefined;
  readonly tags: readonly string[];
  readonly state: DeviceState;
  readonly stateSince: WallMs;
  /** The newest generation; what enrol or rotate last handed out. Undefined when revoked. */
  readonly current: KeyGeneration | undefined;
  /** During a rotation: the generation before, good until `graceEndsAt` or until the current one is proven. */
  readonly previous: (KeyGeneration & { readonly graceEndsAt: WallMs }) | undefined;
  readonly addedAt: WallMs;
  readonly changedAt: WallMs;
  readonly lastSeenAt: WallMs | undefined;
}

/** What outlives a deleted device, so that its generations are never used again. */
export interface Tombstone {
  readonly id: DeviceId;
  /** The highest generation that ever was. */
  readonly generation: number;
  readonly deletedAt: WallMs;
}

/** A generation that is no longer good, and why: for diagnosis ("the device holds an old key"). */
export interface DeadGeneration {
  readonly id: DeviceId;
  readonly generation: number;
  readonly origin: KeyOrigin;
  readonly masterId: string;
  readonly batch: string | undefined;
  readonly diedAt: WallMs;
  readonly because: "rotated" | "compromised" | "revoked" | "deleted" | "replaced";
}

/** A device that completed HELLO and HELLO_ACK (and, on UDP, the cookie) with an id that nobody enrolled: claimed, not proven. */
export interface SeenDevice {
  readonly id: DeviceId;
  readonly transport: "tcp" | "udp";
  /** IPv4 address, or IPv6 /64 network such as "2001:db8::/64". */
  readonly source: string;
  readonly firstSeenAt: WallMs;
  readonly lastSeenAt: WallMs;
  readonly attempts: number;
}

/** Who does something to the registry: for the audit log. */
export interface Actor {
  /** A user of the operating system ("uid 1000 (ada)"), an API token's name, "gateway" itself. */
  readonly who: string;
  /** "control socket", an address, "start", "timer". */
  readonly from: string;
}

/** RFC 3339, UTC, milliseconds. */
export function formatTime(time: WallMs): string {
  return new Date(time).toISOString();
}
