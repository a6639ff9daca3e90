import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Secret } from "@usmp/protocol";
import { type Clock, systemClock } from "usmp";
import { ChainWriter } from "../audit/chain-writer.ts";
import { HEAD_FILE, HeadFile } from "../audit/head-file.ts";
import { BackupAccess } from "../backup/backup-access.ts";
import { GatewayError } from "../errors.ts";
import { DeviceKeys } from "../keys/device-keys.ts";
import type { MasterSecret } from "../master/master-secret.ts";
import { openMaster } from "../master/open-master.ts";
import { messageOf, removeDrafts } from "../master/secret-file.ts";
import { type DiskExposure, diskExposure, type MasterSource, type MasterSurroundings } from "../master/sources.ts";
import type { Actor } from "../records.ts";
import { createWallClock, type WallClock } from "../time/wall-clock.ts";
import { AuditAccess } from "./audit-access.ts";
import { ChangeRunner } from "./change-runner.ts";
import { DeviceChanges } from "./device-changes.ts";
import { DeviceCopy } from "./device-copy.ts";
import { LAST_RUN, LiveRegistry } from "./live-registry.ts";
import { MasterMove } from "./master-move.ts";
import type { MessageKeys } from "./message-keys.ts";
import { migrate } from "./migrate.ts";
import { openStorage, type StorageOptions } from "./open-storage.ts";
import type { Registry, RegistryChange } from "./registry.ts";
import { reloadChanges } from "./reload.ts";
import type { Storage } from "./storage.ts";
import { TokenStore } from "./token-store.ts";
import { newFingerprintKey, openFingerprintKey, Vault } from "./vault.ts";

export interface RegistryOptions extends StorageOptions {
  readonly master: MasterSource;
  readonly surroundings: MasterSurroundings;
  readonly clock?: Clock | undefined;
  readonly wallClock?: WallClock | undefined;
  /** False: no row of a gateway's start in the audit; a restore and a check are none. */
  readonly announce?: boolean | undefined;
}

export interface OpenedRegistry {
  readonly registry: Registry;
  readonly backup: BackupAccess;
  readonly tokens: TokenStore;
  readonly wallClock: WallClock;
  /** The first run: it made the database, and the master if that was its to make. */
  readonly created: boolean;
  readonly masterId: string;
  readonly messageKeys: MessageKeys;
  readonly exposure: DiskExposure;
}

const START: Actor = { who: "gateway", from: "start" };

/**
 * Opens the registry of a data directory, and the master secret with it: a new database makes its master, any other demands its own.
 * Never starts on anything else than the whole. Throws GatewayError.
 */
export async function openRegistry(options: RegistryOptions): Promise<OpenedRegistry> {
  const { dataDirectory, master: source, clock = systemClock } = options;
  const storage = await openStorage(options);
  let vault: Vault | undefined;
  try {
    // The database's lock is ours: nobody else writes here.
    if (source.kind === "file" || source.kind === "sealed-file") await removeDrafts(source.path);
    await removeDrafts(headPath(dataDirectory));
    await migrate(storage);
    const wallClock = options.wallClock ?? createWallClock();
    const opened = await openVault(storage, options);
    vault = opened.vault;
    const { registry, backup, tokens } = await assemble(storage, vault, { ...options, clock, wallClock });
    if (options.announce !== false) {
      const detail = { master: vault.master.id };
      await registry.audit.append(opened.created ? "gateway.first-start" : "gateway.start", detail, START);
    }
    const where = storage.local ? "this-host" : "another-host";
    return {
      registry,
      backup,
      tokens,
      wallClock,
      created: opened.created,
      masterId: vault.master.id,
      messageKeys: vault.messageKeys,
      exposure: diskExposure(source, where),
    };
  } catch (error) {
    vault?.wipe();
    await storage.close().catch(() => {});
    if (error instanceof GatewayError) throw error;
    throw new GatewayError("database", `${dataDirectory} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

/** A new database is bound to its master in one transaction: a crash leaves a database that is still new. */
async function openVault(
  storage: Storage,
  { dataDirectory, master: source, surroundings }: RegistryOptions,
): Promise<{ vault: Vault; created: boolean }> {
  const { db } = storage;
  const facts = new Map((await db.selectFrom("meta").selectAll().execute()).map(({ key, value }) => [key, value]));
  const expectedId = facts.get("master_id");
  if (expectedId === undefined && existsSync(headPath(dataDirectory))) {
    throw new GatewayError(
      "damaged",
      `the database ${storage.where} is empty, but a gateway ran on ${dataDirectory} before: bring its database back, run "usmp restore BACKUP", ` +
        "or begin anew with another --data DIR",
    );
  }
  const { master } = await openMaster(source, surroundings, expectedId);
  const keys = new DeviceKeys(master);
  try {
    const sealed = facts.get("fingerprint_key");
    if (expectedId !== undefined && sealed !== undefined) {
      const vault = new Vault(master, openFingerprintKey(new Uint8Array(Buffer.from(sealed, "base64")), keys));
      await vault.loadFormer(db);
      return { vault, created: false };
    }
    const fingerprintKey = newFingerprintKey();
    const vault = new Vault(master, fingerprintKey);
    await bind(storage, vault, master, keys);
    return { vault, created: true };
  } finally {
    keys.wipe();
  }
}

async function bind(storage: Storage, vault: Vault, master: MasterSecret, keys: DeviceKeys): Promise<void> {
  const fingerprintKey = Buffer.from(vault.sealFingerprintKey(keys)).toString("base64");
  await storage.db.transaction().execute(async (change) => {
    await change
      .insertInto("meta")
      .values([
        { key: "master_id", value: master.id },
        { key: "fingerprint_key", value: fingerprintKey },
      ])
      .execute();
    await change
      .insertInto("masters")
      .values({
        id: master.id,
        state: "current",
        sealed_secret: null,
        sealed_audit: null,
        since: Date.now(),
        grace_ends_at: null,
      })
      .execute();
  });
}

/** The audit chain's second place. */
function headPath(dataDirectory: string): string {
  return join(dataDirectory, HEAD_FILE);
}

async function assemble(
  storage: Storage,
  vault: Vault,
  {
    dataDirectory,
    master: source,
    clock,
    wallClock,
  }: RegistryOptions & { readonly clock: Clock; readonly wallClock: WallClock },
): Promise<{ readonly registry: Registry; readonly backup: BackupAccess; readonly tokens: TokenStore }> {
  const { db } = storage;
  const copy = new DeviceCopy();
  const chain = new ChainWriter(
    new HeadFile(headPath(dataDirectory)),
    vault.master.id,
    vault.auditKey(vault.master.id) as Secret,
  );
  const listeners = new Set<(change: RegistryChange) => void>();
  const emit = (change: RegistryChange): void => {
    for (const listener of listeners) listener(change);
  };
  const move = new MasterMove(vault, copy);
  const load = async (): Promise<void> => {
    const before = await copy.load(db);
    await chain.load(db);
    await move.load(db);
    await tokens.load();
    for (const change of reloadChanges(before, copy)) emit(change);
  };
  const runner = new ChangeRunner(storage, chain, () => wallClock.now(), load);
  const tokens = new TokenStore(db, runner, wallClock);
  await load();
  const lastRun = await db
    .selectFrom("meta")
    .select("value")
    .where("key", "=", `setting:${LAST_RUN}`)
    .executeTakeFirst();
  if (lastRun !== undefined) wallClock.noteLastRun(Number(lastRun.value));
  const anomaly = await chain.compare(db, (masterId) => vault.auditKey(masterId));
  const audit = new AuditAccess(db, runner, chain, vault);
  const changes = new DeviceChanges(vault, copy, emit);
  const registry = new LiveRegistry({
    storage,
    vault,
    copy,
    chain,
    runner,
    changes,
    move,
    audit,
    listeners,
    wallClock,
    clock,
  });
  if (anomaly !== undefined) await audit.append("audit.anomaly", { problem: anomaly }, START);
  const backup = new BackupAccess({
    db,
    runner,
    vault,
    copy,
    includesMaster: source.kind === "file" || source.kind === "sealed-file",
    now: () => wallClock.now(),
    reload: load,
  });
  return { registry, backup, tokens };
}
