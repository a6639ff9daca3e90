import type { Secret } from "@usmp/protocol";
import type { AuditRow } from "../audit/audit-log.ts";
import { GENESIS, rowMac, sameMac, storedRow } from "../audit/chain.ts";
import { GatewayError } from "../errors.ts";
import type { DeadGeneration, DeviceId, KeyOrigin } from "../records.ts";
import type { Tables } from "../registry/schema.ts";
import type { Vault } from "../registry/vault.ts";
import type { BackupContent, BackupRows } from "./content.ts";

/**
 * Brings a backup up to what an export of the audit says was done after it: what was revoked, deleted or rotated away since stays dead, and
 * derived keys of later generations are made again. The rows must continue the backup's own chain. Keys that were brought along after the
 * backup are in neither: their devices end up revoked.
 * Throws GatewayError "audit-broken" when a row was changed or is missing, "backup" for a move to another master.
 */
export function applyLaterAudit(content: BackupContent, exported: readonly AuditRow[], vault: Vault): BackupContent {
  const later = continueChain(content, exported, vault.auditKey(content.header.masterId) as Secret);
  const fleet = new BackedFleet(content.rows, vault);
  for (const row of later) fleet.apply(row);
  return {
    header: content.header,
    rows: {
      ...fleet.rows(),
      audit: [...content.rows.audit, ...later.map((row) => storedRow(row, Buffer.from(row.mac, "hex")))],
    },
  };
}

/** Reads what `usmp audit export` printed. Throws GatewayError "damaged". */
export function parseAuditExport(text: string): readonly AuditRow[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line, index) => {
      try {
        const { time, device, ...row } = JSON.parse(line) as Omit<AuditRow, "time"> & { readonly time: string };
        return { ...row, time: Date.parse(time), device: device ?? undefined };
      } catch (error) {
        throw new GatewayError("damaged", `line ${index + 1} of the exported audit is no row of it`, { cause: error });
      }
    });
}

/** The rows behind the backup's last one, checked. */
function continueChain(
  { header, rows }: BackupContent,
  exported: readonly AuditRow[],
  key: Secret,
): readonly AuditRow[] {
  let last = rows.audit.reduce((highest, row) => (row.seq > highest.seq ? row : highest), { seq: 0, mac: GENESIS });
  const later: AuditRow[] = [];
  for (const row of [...exported].sort((a, b) => a.seq - b.seq)) {
    const mac = new Uint8Array(Buffer.from(row.mac, "hex"));
    if (row.seq < last.seq) continue;
    if (row.seq === last.seq) {
      if (!sameMac(mac, new Uint8Array(last.mac))) throw broken(row.seq, "is not the one that the backup has");
      continue;
    }
    if (row.seq !== last.seq + 1) throw broken(last.seq + 1, "is missing from the export");
    if (row.action === "master.rotate") {
      throw new GatewayError(
        "backup",
        `row ${row.seq} of the exported audit moves the fleet to another master, whose keys this backup cannot make: restore a later backup`,
      );
    }
    if (row.masterId !== header.masterId || !sameMac(mac, rowMac(key, new Uint8Array(last.mac), row))) {
      throw broken(row.seq, "was changed");
    }
    later.push(row);
    last = { seq: row.seq, mac };
  }
  return later;
}

type Device = Tables["devices"];
type Key = Tables["device_keys"];

/** The backup's devices while later rows of the audit are applied to them. */
class BackedFleet {
  readonly #vault: Vault;
  readonly #rest: BackupRows;
  readonly #devices: Map<DeviceId, Device>;
  readonly #keys: Map<DeviceId, readonly Key[]> = new Map();
  readonly #dead: Tables["dead_keys"][];
  readonly #tombstones: Map<DeviceId, Tables["tombstones"]>;

  constructor(rows: BackupRows, vault: Vault) {
    this.#vault = vault;
    this.#rest = rows;
    this.#devices = new Map(rows.devices.map((device) => [device.id, { ...device }]));
    for (const key of rows.device_keys) this.#keys.set(key.device_id, [...this.#keysOf(key.device_id), { ...key }]);
    this.#dead = [...rows.dead_keys];
    this.#tombstones = new Map(rows.tombstones.map((row) => [row.device_id, row]));
  }

  rows(): BackupRows {
    const device_keys = [...this.#keys.values()].flat();
    return {
      ...this.#rest,
      devices: [...this.#devices.values()].map((device) =>
        this.#keysOf(device.id).length > 0 ? device : { ...device, state: "revoked" as const, grace_ends_at: null },
      ),
      device_keys,
      dead_keys: this.#dead,
      tombstones: [...this.#tombstones.values()],
    };
  }

  apply(row: AuditRow): void {
    const { device: id, action, detail, time } = row;
    if (id === undefined) return;
    if (action === "device.add") return this.#add(id, row);
    const device = this.#devices.get(id);
    if (device === undefined) return;
    device.changed_at = time;
    switch (action) {
      case "device.rotate":
        this.#kill(id, time, "replaced", ({ generation }) => generation !== detail["previous"]);
        this.#keys.set(
          id,
          this.#keysOf(id).map((key) => ({ ...key, role: "previous" as const })),
        );
        device.grace_ends_at = time + Number(detail["graceMs"]);
        return this.#give(device, row);
      case "device.rotate-compromised":
        this.#kill(id, time, "compromised", () => true);
        device.grace_ends_at = null;
        return this.#give(device, row);
      case "device.rotation-done":
      case "device.grace-ended":
        device.grace_ends_at = null;
        return this.#kill(id, time, "rotated", ({ generation }) => generation === detail["ended"]);
      case "device.revoke":
        return this.#kill(id, time, "revoked", () => true);
      case "device.delete":
        this.#kill(id, time, "deleted", () => true);
        this.#devices.delete(id);
        this.#tombstones.set(id, { device_id: id, generation: device.generation, deleted_at: time });
        return;
      case "device.suspend":
      case "device.resume":
        device.state = action === "device.suspend" ? "suspended" : "active";
        device.state_since = time;
        return;
      case "device.rename":
        device.name = String(detail["name"]) || null;
        return;
      case "device.tag":
        device.tags = tagsOf(detail["tags"]);
        return;
      default:
        return; // nothing that changes a device
    }
  }

  #add(id: DeviceId, row: AuditRow): void {
    const { time, detail } = row;
    const device: Device = {
      id,
      name: detail["name"] === undefined ? null : String(detail["name"]),
      tags: tagsOf(detail["tags"]),
      state: "active",
      state_since: time,
      generation: 0,
      grace_ends_at: null,
      added_at: time,
      changed_at: time,
      last_seen_at: null,
    };
    this.#devices.set(id, device);
    this.#tombstones.delete(id);
    this.#keys.set(id, []);
    this.#give(device, row);
  }

  /** The new generation's key, when it can be made. */
  #give(device: Device, { detail, time, masterId }: AuditRow): void {
    device.generation = Number(detail["generation"]);
    const origin = String(detail["origin"]) as KeyOrigin;
    if (origin === "imported") {
      // It is in no backup: what was good before, if anything is, goes on.
      device.grace_ends_at = null;
      this.#keys.set(
        device.id,
        this.#keysOf(device.id).map((key) => ({ ...key, role: "current" as const })),
      );
      return;
    }
    const batch = detail["batch"] === undefined ? undefined : String(detail["batch"]);
    const { id: device_id, generation } = device;
    const secret = this.#vault.open(device_id, { generation, origin, masterId, batch, sealed: undefined });
    const fingerprint = this.#vault.fingerprint(secret);
    secret.wipe();
    const key: Key = {
      device_id,
      generation,
      role: "current",
      origin,
      master_id: masterId,
      batch: batch ?? null,
      sealed: null,
      fingerprint,
      made_at: time,
      proven_at: null,
    };
    this.#keys.set(device_id, [...this.#keysOf(device_id), key]);
  }

  #kill(id: DeviceId, time: number, because: DeadGeneration["because"], dies: (key: Key) => boolean): void {
    for (const key of this.#keysOf(id).filter(dies)) {
      const { device_id, generation, origin, master_id, batch, fingerprint } = key;
      this.#dead.push({ device_id, generation, origin, master_id, batch, fingerprint, died_at: time, because });
    }
    this.#keys.set(
      id,
      this.#keysOf(id).filter((key) => !dies(key)),
    );
  }

  #keysOf(id: DeviceId): readonly Key[] {
    return this.#keys.get(id) ?? [];
  }
}

function tagsOf(listed: AuditRow["detail"][string] | undefined): string {
  return JSON.stringify(
    String(listed ?? "")
      .split(",")
      .filter((tag) => tag !== ""),
  );
}

function broken(seq: number, problem: string): GatewayError {
  return new GatewayError(
    "audit-broken",
    `row ${seq} of the exported audit ${problem}: it does not continue the backup's audit`,
  );
}
