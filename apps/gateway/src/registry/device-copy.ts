import type { Device, DeviceId, DeviceState, KeyGeneration, KeyOrigin, WallMs } from "../records.ts";
import type { Change, Database, Tables } from "./schema.ts";
import type { StoredKey } from "./vault.ts";

/** A key that is good, as the copy in memory has it. */
export interface LiveKey extends StoredKey {
  readonly madeAt: WallMs;
  readonly provenAt: WallMs | undefined;
}

/** A device, as the copy in memory has it. Replaced whole by each change. */
export interface DeviceEntry {
  readonly id: DeviceId;
  readonly name: string | undefined;
  readonly tags: readonly string[];
  readonly state: DeviceState;
  readonly stateSince: WallMs;
  /** The highest generation that ever was. */
  readonly generation: number;
  readonly graceEndsAt: WallMs | undefined;
  readonly addedAt: WallMs;
  readonly changedAt: WallMs;
  readonly current: LiveKey | undefined;
  readonly previous: LiveKey | undefined;
}

const NO_TAGS: readonly string[] = [];
const DEVICES_A_READ = 5_000;

/** All devices, in memory: what HELLOs are answered from. */
export class DeviceCopy {
  #entries: Map<DeviceId, DeviceEntry> = new Map();
  /** Kept apart: it changes without a change of the registry. */
  #lastSeen: Map<DeviceId, WallMs> = new Map();
  readonly #rotating: Set<DeviceId> = new Set();
  /** Equal texts are kept once: there are few masters and batches, and many devices. */
  readonly #texts: Map<string, string> = new Map();

  get size(): number {
    return this.#entries.size;
  }

  /** Devices in an overlap of two generations. */
  get rotating(): ReadonlySet<DeviceId> {
    return this.#rotating;
  }

  get(id: DeviceId): DeviceEntry | undefined {
    return this.#entries.get(id);
  }

  entries(): Iterable<DeviceEntry> {
    return this.#entries.values();
  }

  ids(): readonly DeviceId[] {
    return [...this.#entries.keys()].sort();
  }

  lastSeen(id: DeviceId): WallMs | undefined {
    return this.#lastSeen.get(id);
  }

  noteSeen(id: DeviceId, at: WallMs): void {
    this.#lastSeen.set(id, at);
  }

  put(entry: DeviceEntry): void {
    this.#entries.set(entry.id, entry);
    if (entry.previous === undefined) this.#rotating.delete(entry.id);
    else this.#rotating.add(entry.id);
  }

  remove(id: DeviceId): void {
    this.#entries.delete(id);
    this.#lastSeen.delete(id);
    this.#rotating.delete(id);
  }

  view(entry: DeviceEntry): Device {
    const { previous, graceEndsAt } = entry;
    return {
      id: entry.id,
      name: entry.name,
      tags: entry.tags,
      state: entry.state,
      stateSince: entry.stateSince,
      current: entry.current && generationOf(entry.current),
      previous: previous && { ...generationOf(previous), graceEndsAt: graceEndsAt ?? 0 },
      addedAt: entry.addedAt,
      changedAt: entry.changedAt,
      lastSeenAt: this.#lastSeen.get(entry.id),
    };
  }

  /** Reads everything anew. The old copy serves until the new one is whole. Answers what it replaced. */
  async load(db: Database | Change): Promise<ReadonlyMap<DeviceId, DeviceEntry>> {
    const entries = new Map<DeviceId, DeviceEntry>();
    const lastSeen = new Map<DeviceId, WallMs>();
    for (let after = ""; ; ) {
      const devices = await db
        .selectFrom("devices")
        .selectAll()
        .where("id", ">", after)
        .orderBy("id")
        .limit(DEVICES_A_READ)
        .execute();
      const last = devices.at(-1);
      if (last === undefined) break;
      const keys = await db
        .selectFrom("device_keys")
        .selectAll()
        .where("device_id", ">", after)
        .where("device_id", "<=", last.id)
        .execute();
      const byDevice = new Map<DeviceId, { current?: LiveKey; previous?: LiveKey }>();
      for (const key of keys) {
        const held = byDevice.get(key.device_id) ?? {};
        held[key.role] = this.#liveKey(key);
        byDevice.set(key.device_id, held);
      }
      for (const device of devices) {
        const held = byDevice.get(device.id);
        entries.set(device.id, entryOf(device, held?.current, held?.previous));
        if (device.last_seen_at !== null) lastSeen.set(device.id, device.last_seen_at);
      }
      after = last.id;
    }
    const before = this.#entries;
    for (const [id, at] of this.#lastSeen) if (entries.has(id) && at > (lastSeen.get(id) ?? 0)) lastSeen.set(id, at);
    this.#entries = entries;
    this.#lastSeen = lastSeen;
    this.#rotating.clear();
    for (const { id, previous } of entries.values()) if (previous !== undefined) this.#rotating.add(id);
    return before;
  }

  #liveKey(row: Tables["device_keys"]): LiveKey {
    return {
      generation: row.generation,
      origin: this.#text(row.origin) as KeyOrigin,
      masterId: this.#text(row.master_id),
      batch: row.batch === null ? undefined : this.#text(row.batch),
      sealed: row.sealed === null ? undefined : new Uint8Array(row.sealed),
      madeAt: row.made_at,
      provenAt: row.proven_at ?? undefined,
    };
  }

  #text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}

function entryOf(row: Tables["devices"], current: LiveKey | undefined, previous: LiveKey | undefined): DeviceEntry {
  return {
    id: row.id,
    name: row.name ?? undefined,
    tags: row.tags === "[]" ? NO_TAGS : (JSON.parse(row.tags) as string[]),
    state: row.state,
    stateSince: row.state_since,
    generation: row.generation,
    graceEndsAt: row.grace_ends_at ?? undefined,
    addedAt: row.added_at,
    changedAt: row.changed_at,
    current,
    previous,
  };
}

function generationOf({ generation, origin, masterId, batch, madeAt, provenAt }: LiveKey): KeyGeneration {
  return { generation, origin, masterId, batch, madeAt, provenAt };
}
