import type { Device, DeviceId } from "../records.ts";
import type { BackupContent } from "./content.ts";

/** What a restore would change; shown before it asks. A generation that is higher here wins; what is dead here stays dead. */
export interface RestorePlan {
  readonly madeAt: string;
  readonly masterId: string;
  /** Devices in the backup. */
  readonly devices: number;
  /** True when nothing is here yet: then everything of the backup comes back, and nobody can tell what was revoked since. */
  readonly ontoNothing: boolean;
  /** What the audit's second place tells of later changes, when the database is gone and that file is not: rows that no backup has. */
  readonly lostAuditRows: number;
  readonly changes: readonly RestoreChange[];
}

export interface RestoreChange {
  readonly id: DeviceId;
  readonly change: "restored" | "kept-newer" | "kept-revoked" | "kept-deleted" | "only-here";
  readonly says: string;
}

/** What is here of one device. */
export interface Present {
  readonly device: (Pick<Device, "state"> & { readonly generation: number }) | undefined;
  /** The highest generation that died with the device. */
  readonly buried: number | undefined;
}

/** Compares a backup with what is here, device by device, in order of id. Devices that are the same are not listed. */
export function planRestore(
  content: BackupContent,
  present: ReadonlyMap<DeviceId, Present> | undefined,
  lostAuditRows = 0,
): RestorePlan {
  const { header, rows } = content;
  const changes: RestoreChange[] = [];
  if (present !== undefined) {
    const backed = new Set<DeviceId>();
    for (const { id, generation, state } of rows.devices) {
      backed.add(id);
      const change = compare(present.get(id), generation, state);
      if (change !== undefined) changes.push({ id, ...change });
    }
    for (const [id, { device }] of present) {
      if (device !== undefined && !backed.has(id))
        changes.push({ id, change: "only-here", says: "was added after the backup; it stays" });
    }
  }
  return {
    madeAt: header.madeAt,
    masterId: header.masterId,
    devices: rows.devices.length,
    ontoNothing: present === undefined,
    lostAuditRows,
    changes: changes.sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

function compare(here: Present | undefined, generation: number, state: string): Omit<RestoreChange, "id"> | undefined {
  if (here?.device === undefined) {
    if (here?.buried !== undefined && here.buried >= generation) {
      return { change: "kept-deleted", says: "was deleted after the backup; it stays deleted" };
    }
    return { change: "restored", says: `comes back with generation ${generation}` };
  }
  if (here.device.state === "revoked") {
    if (state === "revoked") return undefined;
    return { change: "kept-revoked", says: "was revoked after the backup; it stays revoked" };
  }
  if (here.device.generation > generation) {
    return {
      change: "kept-newer",
      says: `has generation ${here.device.generation} here and ${generation} in the backup; the newer stays`,
    };
  }
  if (here.device.generation < generation || (state === "revoked" && here.device.generation === generation)) {
    const what =
      state === "revoked"
        ? "is revoked in the backup"
        : `has generation ${generation} in the backup and ${here.device.generation} here`;
    return { change: "restored", says: `${what}; the backup's state comes back` };
  }
  return undefined;
}
