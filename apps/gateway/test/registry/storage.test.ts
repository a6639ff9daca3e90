import { existsSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Migration } from "kysely";
import { expect, test } from "vitest";
import { migrate } from "../../src/registry/migrate.ts";
import { registry as firstMigration } from "../../src/registry/migrations/0001-registry.ts";
import { tokens as secondMigration } from "../../src/registry/migrations/0002-tokens.ts";
import { openPostgresStorage } from "../../src/registry/postgres.ts";
import { type Registry, STALE_AFTER_MS } from "../../src/registry/registry.ts";
import { openSqliteStorage } from "../../src/registry/sqlite.ts";
import type { Storage } from "../../src/registry/storage.ts";
import { ADA, onEachDatabase, type TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const REQUEST = { id: ID, name: undefined, tags: [] };
const MIGRATIONS = { "0001-registry": firstMigration, "0002-tokens": secondMigration };
const LATER: Migration = {
  async up(db) {
    await db.schema.createTable("later").addColumn("id", "text").execute();
  },
};
const BROKEN: Migration = {
  async up(db) {
    await db.schema.createTable("half").addColumn("id", "text").execute();
    throw new Error("no such luck");
  },
};

onEachDatabase("a database", (newHome) => {
  test("belongs to one gateway at a time", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await expect(home.open()).rejects.toMatchObject({ code: "already-running" });
    await registry.close();
    await (await home.open()).registry.add(REQUEST, ADA);
  });

  test("of a newer version is refused by name", async () => {
    const home = newHome();
    await opened(home, (storage) => migrate(storage, { ...MIGRATIONS, "0099-later": LATER }));
    await expect(home.open()).rejects.toMatchObject({
      code: "newer-schema",
      message: expect.stringContaining("0099-later"),
    });
  });

  test("is migrated forward by itself, after a copy; a migration that fails leaves nothing", async () => {
    const home = newHome();
    await (await home.open()).registry.add(REQUEST, ADA);
    await home.close();
    await opened(home, async (storage) => {
      const broken = migrate(storage, { ...MIGRATIONS, "0099-broken": BROKEN });
      await expect(broken).rejects.toMatchObject({
        code: "database",
        message: expect.stringContaining("no such luck"),
      });
      const tables = await storage.db.introspection.getTables();
      expect(tables.map(({ name }) => name)).not.toContain("half");
      await migrate(storage, { ...MIGRATIONS, "0099-later": LATER });
    });
    if (home.database === undefined) {
      const copies = readdirSync(join(home.directory, "copies"));
      expect(copies.length).toBe(2);
      for (const copy of copies) expect(statSync(join(home.directory, "copies", copy)).mode & 0o777).toBe(0o600);
    } else {
      const schemas =
        home.postgres
          ?.psql(home.database, "select nspname from pg_namespace where nspname like 'usmp_schema_2_%'")
          .trim()
          .split("\n") ?? [];
      expect(schemas).toHaveLength(2);
      expect(home.postgres?.psql(home.database, `select id from ${schemas[0]}.devices`).trim()).toBe(ID);
    }
  });

  test("has no key in the clear, and gives none without its master", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const { Secret } = await import("@usmp/protocol");
    const brought = Buffer.from("not-secret test key brought along 1");
    const { key } = await registry.add(REQUEST, ADA);
    await registry.add({ ...REQUEST, id: undefined, key: { imported: new Secret(brought) } }, ADA);
    const derived = Buffer.from(key.expose());
    await home.close();
    const content =
      home.database === undefined ? readFileSync(join(home.directory, "usmp.db")) : Buffer.from(dump(home));
    for (const form of [derived, brought, Buffer.from(derived.toString("hex")), Buffer.from(brought.toString("hex"))]) {
      expect(content.includes(form)).toBe(false);
    }
  });

  test("that is gone: changes fail, look-ups go on for a minute and then fail closed; back again, everything goes on", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add(REQUEST, ADA);
    const bringBack = takeAway(home);
    await expect(registry.suspend(ID, ADA)).rejects.toMatchObject({ code: "database" });
    expect(registry.candidates(ID)[0].kind).toBe("current");
    await waitFor(home, registry, async () => (await registry.describe()).problem !== undefined);
    while (registry.ageMs <= STALE_AFTER_MS) await home.time.pass(1000);
    expect(() => registry.candidates(ID)).toThrow(expect.objectContaining({ code: "stale" }));
    expect(() => registry.candidates("02:00:00:00:00:02")).toThrow(expect.objectContaining({ code: "stale" }));
    expect(registry.device(ID)?.state).toBe("active");
    bringBack();
    await waitFor(home, registry, () => Promise.resolve(registry.ageMs < STALE_AFTER_MS));
    expect(registry.candidates(ID)[0].kind).toBe("current");
    await registry.suspend(ID, ADA);
    await home.close();
    expect((await home.open()).registry.device(ID)?.state).toBe("suspended");
  });
});

test("a database file that is damaged or truncated is refused, never replaced", async () => {
  const { TestHome } = await import("../support/registries.ts");
  const home = new TestHome(undefined);
  await (await home.open()).registry.add(REQUEST, ADA);
  await home.close();
  const path = join(home.directory, "usmp.db");
  const whole = readFileSync(path);
  for (const damage of [
    () => truncateSync(path, whole.length - 4096),
    () => writeFileSync(path, Buffer.concat([Buffer.from("garbage, as if a disk had failed"), whole.subarray(32)])),
    () => writeFileSync(path, Buffer.concat([whole.subarray(0, 4096), Buffer.alloc(whole.length - 4096, 0x5a)])),
  ]) {
    writeFileSync(path, whole);
    damage();
    const after = readFileSync(path);
    await expect(home.open()).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining("restore") });
    expect(readFileSync(path).equals(after)).toBe(true);
  }
  // An empty file where a whole database was: the master beside it says that this is no first run.
  writeFileSync(path, "");
  await expect(home.open()).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining("empty") });
  writeFileSync(path, whole);
  expect((await home.open()).registry.device(ID)?.state).toBe("active");
  expect(existsSync(path)).toBe(true);
  await home.remove();
});

test.each([
  ["mysql://localhost/usmp", "postgres://USER@HOST"],
  ["not a url", "postgres://USER@HOST"],
  ["postgres://usmp:not-a-secret@127.0.0.1/usmp", "PGPASSFILE"],
])("--database %s is refused with what to write", async (url, fix) => {
  await expect(openPostgresStorage(url)).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining(fix),
  });
});

test("a PostgreSQL server that does not answer is named, without a user", async () => {
  await expect(openPostgresStorage("postgres://ada@127.0.0.1:1/usmp")).rejects.toMatchObject({
    code: "database",
    message: expect.not.stringContaining("ada@"),
  });
});

async function opened(home: TestHome, work: (storage: Storage) => Promise<void>): Promise<void> {
  const storage =
    home.database === undefined ? openSqliteStorage(home.directory) : await openPostgresStorage(home.database);
  try {
    await work(storage);
  } finally {
    await storage.close();
  }
}

/** SQLite: the file is moved away. PostgreSQL: the server is stopped. */
function takeAway(home: TestHome): () => void {
  if (home.database === undefined) {
    const path = join(home.directory, "usmp.db");
    renameSync(path, `${path}.away`);
    return () => renameSync(`${path}.away`, path);
  }
  home.postgres?.stop();
  return () => home.postgres?.start();
}

/** The virtual clock moves on while the real database does its work. */
async function waitFor(home: TestHome, _registry: Registry, condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 200) throw new Error("it did not come");
    await home.time.pass(1000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function dump(home: TestHome): string {
  const tables = ["devices", "device_keys", "dead_keys", "meta", "masters", "audit"];
  return tables.map((table) => home.postgres?.psql(home.database as string, `select * from ${table}`)).join("\n");
}
