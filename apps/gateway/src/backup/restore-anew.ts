import { join } from "node:path";
import { Secret } from "@usmp/protocol";
import { HEAD_FILE, HeadFile } from "../audit/head-file.ts";
import { GatewayError } from "../errors.ts";
import { MasterSecret } from "../master/master-secret.ts";
import { installMaster, openMaster } from "../master/open-master.ts";
import type { MasterSource, MasterSurroundings } from "../master/sources.ts";
import { migrate } from "../registry/migrate.ts";
import { openStorage } from "../registry/open-storage.ts";
import type { Storage } from "../registry/storage.ts";
import { type BackupContent, backedTables } from "./content.ts";

const ROWS_AN_INSERT = 500;

/** True when nothing is there that a restore could harm. */
export async function isEmpty(storage: Storage): Promise<boolean> {
  await migrate(storage);
  return (
    (await storage.db.selectFrom("meta").select("key").where("key", "=", "master_id").executeTakeFirst()) === undefined
  );
}

export interface RestoreTarget {
  readonly dataDirectory: string;
  readonly database: string | undefined;
  readonly master: MasterSource;
  readonly surroundings: MasterSurroundings;
}

/**
 * Restores onto nothing: the master, the second place of the audit, then every row in one transaction. A crash leaves a directory on which
 * the same restore runs again. The registry is opened afterwards, as always.
 */
export async function restoreAnew(content: BackupContent, target: RestoreTarget): Promise<void> {
  const storage = await openStorage(target);
  try {
    if (!(await isEmpty(storage))) throw new GatewayError("backup", `${storage.where} is not empty`);
    const master = await bringMaster(content, target);
    try {
      await writeHead(content, target.dataDirectory, master);
      await insertAll(storage, content);
    } finally {
      master.wipe();
    }
  } finally {
    await storage.close();
  }
}

/** From the backup, or from the source that has it already (a KMS; or a restore that was cut short). */
async function bringMaster(
  { header }: BackupContent,
  { master: source, surroundings }: RestoreTarget,
): Promise<MasterSecret> {
  if (header.master === undefined || (source.kind !== "file" && source.kind !== "sealed-file")) {
    return (await openMaster(source, surroundings, header.masterId)).master;
  }
  const there = await openMaster(source, surroundings, header.masterId).catch((error: unknown) => {
    if (error instanceof GatewayError && error.code === "master-missing") return undefined;
    throw error;
  });
  if (there !== undefined) return there.master;
  const master = new MasterSecret(new Secret(Buffer.from(header.master, "hex")));
  if (master.id !== header.masterId)
    throw new GatewayError("damaged", "the backup's master is not the one that it names");
  await installMaster(source, master, surroundings);
  return master;
}

async function writeHead({ rows }: BackupContent, dataDirectory: string, master: MasterSecret): Promise<void> {
  const last = rows.audit.reduce((highest, row) => (row.seq > highest.seq ? row : highest), rows.audit[0] ?? NO_ROW);
  const key = master.subkey("audit");
  const committed = { seq: last.seq, mac: new Uint8Array(last.mac) };
  await new HeadFile(join(dataDirectory, HEAD_FILE)).write({ committed, prepared: undefined }, master.id, key, true);
  key.wipe();
}

const NO_ROW = { seq: 0, mac: new Uint8Array(32) };

async function insertAll(storage: Storage, { rows }: BackupContent): Promise<void> {
  await storage.db.transaction().execute(async (change) => {
    for (const table of backedTables()) {
      for (let start = 0; start < rows[table].length; start += ROWS_AN_INSERT) {
        const piece = rows[table].slice(start, start + ROWS_AN_INSERT);
        await change
          .insertInto(table)
          .values(piece as never)
          .execute();
      }
    }
  });
}
