import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import type { AuditRow } from "../audit/audit-log.ts";
import { HEAD_FILE } from "../audit/head-file.ts";
import { GatewayError } from "../errors.ts";
import { DeviceKeys } from "../keys/device-keys.ts";
import { MasterSecret } from "../master/master-secret.ts";
import { openMaster } from "../master/open-master.ts";
import type { Actor } from "../records.ts";
import { openRegistry } from "../registry/open-registry.ts";
import { openStorage } from "../registry/open-storage.ts";
import { openFingerprintKey, Vault } from "../registry/vault.ts";
import { type BackupContent, decodeContent } from "./content.ts";
import { applyLaterAudit } from "./later-audit.ts";
import { planRestore, type RestorePlan } from "./plan.ts";
import { isEmpty, type RestoreTarget, restoreAnew } from "./restore-anew.ts";
import { type BackupOpener, openBackup } from "./seal.ts";

/** A backup that was opened, and where it would go. Nothing is changed before apply(). */
export interface PreparedRestore {
  readonly plan: RestorePlan;
  apply(actor: Actor): Promise<RestorePlan>;
}

/**
 * Opens a backup, brings it up to an export of the audit if there is one, and compares it with what is there. No gateway may run there. Throws GatewayError "wrong-passphrase", "damaged",
 * "already-running", "master-mismatch", "usage".
 */
export async function prepareRestore(
  file: Uint8Array,
  opener: BackupOpener,
  target: RestoreTarget,
  exported: readonly AuditRow[] = [],
): Promise<PreparedRestore> {
  const packed = await openBackup(file, opener);
  const backed = decodeContent(packed);
  packed.fill(0);
  const content = exported.length === 0 ? backed : await withLaterAudit(backed, exported, target);
  const storage = await openStorage(target);
  const empty = await isEmpty(storage).finally(() => storage.close());
  if (empty) {
    const plan = planRestore(content, undefined, rowsBehind(content, target.dataDirectory));
    return { plan, apply: (actor) => applyAnew(content, target, plan, actor) };
  }
  const opened = await openRegistry({ ...target, announce: false });
  try {
    return { plan: await opened.backup.plan(content), apply: (actor) => applyOnto(content, target, actor) };
  } finally {
    await opened.registry.close();
  }
}

async function withLaterAudit(
  content: BackupContent,
  exported: readonly AuditRow[],
  target: RestoreTarget,
): Promise<BackupContent> {
  const { header, rows } = content;
  const master =
    header.master === undefined
      ? (await openMaster(target.master, target.surroundings, header.masterId)).master
      : new MasterSecret(new Secret(Buffer.from(header.master, "hex")));
  const sealed = rows.meta.find(({ key }) => key === "fingerprint_key")?.value ?? "";
  const keys = new DeviceKeys(master);
  const vault = new Vault(master, openFingerprintKey(new Uint8Array(Buffer.from(sealed, "base64")), keys));
  keys.wipe();
  try {
    return applyLaterAudit(content, exported, vault);
  } finally {
    vault.wipe();
  }
}

/** How many rows the audit's second place knows of that the backup has not. Only told, so the file is taken at its word. */
function rowsBehind({ rows }: BackupContent, dataDirectory: string): number {
  try {
    const { committed } = JSON.parse(readFileSync(join(dataDirectory, HEAD_FILE), "utf8")) as {
      committed: { seq: number };
    };
    return Math.max(0, committed.seq - rows.audit.reduce((last, { seq }) => Math.max(last, seq), 0));
  } catch {
    return 0; // there is none, or nobody can read it
  }
}

async function applyAnew(
  content: BackupContent,
  target: RestoreTarget,
  plan: RestorePlan,
  actor: Actor,
): Promise<RestorePlan> {
  await restoreAnew(content, target);
  const { registry } = await openRegistry({ ...target, announce: false });
  try {
    await registry.audit.append(
      "restore",
      { madeAt: plan.madeAt, restored: plan.devices, kept: 0, lostAuditRows: plan.lostAuditRows },
      actor,
    );
    const verdict = await registry.audit.verify();
    if (!verdict.ok)
      throw new GatewayError(
        "audit-broken",
        `the fleet is restored, but the backup's audit is not whole: ${verdict.says}`,
      );
    return plan;
  } finally {
    await registry.close();
  }
}

async function applyOnto(content: BackupContent, target: RestoreTarget, actor: Actor): Promise<RestorePlan> {
  const { registry, backup } = await openRegistry({ ...target, announce: false });
  try {
    return await backup.merge(content, actor);
  } finally {
    await registry.close();
  }
}
