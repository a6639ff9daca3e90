import { existsSync } from "node:fs";
import { join } from "node:path";
import { GatewayError } from "../errors.ts";
import { parseMaster } from "../master/open-master.ts";
import { readSecretFile } from "../master/secret-file.ts";
import { examineSchema } from "../registry/migrate.ts";
import { openPostgresStorage } from "../registry/postgres.ts";
import { STALE_AFTER_MS } from "../registry/registry.ts";
import { openSqliteStorage } from "../registry/sqlite.ts";
import type { Storage } from "../registry/storage.ts";
import { type Check, type DoctorContext, type Finding, notChecked, ok, problem } from "./check.ts";
import { shellWord } from "./files.ts";

/** Asks the running gateway, which has its database for itself; without one, opens it as a start would, and changes nothing. */
export const database: Check = {
  name: "database",
  async run(context) {
    const { status, dataDirectory } = context;
    if (status !== undefined) {
      const { kind, where, driver, schema, devices } = status.storage;
      if (status.registryAgeMs > STALE_AFTER_MS) {
        const seconds = Math.round(status.registryAgeMs / 1000);
        return [
          problem(
            "database",
            `the gateway has not reached its database ${where} for ${seconds} s: no new session is admitted; established ones live on`,
            kind === "postgres"
              ? `bring the server of ${where} back; the gateway notices by itself`
              : `bring ${where} back, and start the gateway again`,
          ),
        ];
      }
      return [ok("database", `${kind} ${where}: ${devices} devices, schema ${schema}, through ${driver}`)];
    }
    if (context.controlProblem !== undefined) return [notChecked("database", "a gateway holds it")];
    if (context.database === undefined && !existsSync(join(dataDirectory, "usmp.db"))) {
      return [notChecked("database", "there is no database yet; the first start makes it")];
    }
    return examineStopped(context);
  },
};

async function examineStopped({ dataDirectory, database: url, dataFlag }: DoctorContext): Promise<readonly Finding[]> {
  let storage: Storage | undefined;
  try {
    storage = url === undefined ? openSqliteStorage(dataDirectory) : await openPostgresStorage(url);
    await examineSchema(storage);
    const bound = await boundMaster(storage);
    const held = await masterInFile(join(dataDirectory, "master"));
    if (bound !== undefined && held !== undefined && bound !== held) {
      return [
        problem(
          "database",
          `the database belongs to master ${bound}, but ${join(dataDirectory, "master")} holds master ${held}`,
          "bring back the master file that came with this database; or restore a backup of both into another directory:",
          "usmp restore FILE --data ANOTHER-DIR",
        ),
      ];
    }
    return [ok("database", `${storage.kind} ${storage.where} is whole, through ${storage.driver}`)];
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return [problem("database", error.message, ...fixOf(error, dataDirectory, dataFlag))];
  } finally {
    await storage?.close().catch(() => {});
  }
}

function fixOf({ code }: GatewayError, dataDirectory: string, dataFlag: string): readonly string[] {
  const file = join(dataDirectory, "usmp.db");
  switch (code) {
    case "damaged":
      return [
        `mv ${shellWord(file)} ${shellWord(`${file}.damaged`)}`,
        `usmp restore FILE${dataFlag}   # your newest backup`,
      ];
    case "no-sqlite":
      return ["npm rebuild better-sqlite3   # needs a compiler; Node 22.13 and newer need neither"];
    default:
      return [];
  }
}

async function boundMaster({ db }: Storage): Promise<string | undefined> {
  const tables = await db.introspection.getTables();
  if (!tables.some(({ name }) => name === "meta")) return undefined;
  const row = await db.selectFrom("meta").select("value").where("key", "=", "master_id").executeTakeFirst();
  return row?.value;
}

/** Undefined when it lies elsewhere, is sealed, or does not parse: the check of the master tells that. */
async function masterInFile(path: string): Promise<string | undefined> {
  try {
    const digits = await readSecretFile(path, "the master secret");
    if (digits === undefined) return undefined;
    const master = parseMaster(digits, path);
    master.wipe();
    return master.id;
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}
