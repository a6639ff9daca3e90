import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { REFUSAL_ROWS_A_DAY } from "../../src/audit/audit-log.ts";
import { GENESIS, rowMac } from "../../src/audit/chain.ts";
import { HeadFile } from "../../src/audit/head-file.ts";
import { auditRows } from "../../src/audit/verify.ts";
import { parseMaster } from "../../src/master/open-master.ts";
import { openPostgresStorage } from "../../src/registry/postgres.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { openSqliteStorage } from "../../src/registry/sqlite.ts";
import type { Storage } from "../../src/registry/storage.ts";
import { ADA, BEGIN, onEachDatabase, type TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const MINUTE_MS = 60_000;

onEachDatabase("the audit", (newHome) => {
  test("has a row for every change, with who, when and from where, and is whole", async () => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add({ id: ID, name: "pump", tags: [] }, ADA);
    await registry.rotate(ID, { graceMs: 1000, compromised: false, replace: false }, ADA);
    await registry.revoke(ID, ADA);
    await registry.delete(ID, ADA);
    const rows = await all(registry);
    expect(rows.map(({ seq, action }) => [seq, action])).toEqual([
      [1, "gateway.first-start"],
      [2, "device.add"],
      [3, "device.rotate"],
      [4, "device.revoke"],
      [5, "device.delete"],
    ]);
    expect(rows[1]).toMatchObject({
      device: ID,
      who: ADA.who,
      from: ADA.from,
      time: BEGIN,
      detail: { generation: 1, name: "pump" },
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: true, rows: 5 });
    await home.close();
    expect(await (await home.open()).registry.audit.verify()).toMatchObject({ ok: true, rows: 6 });
  });

  test("shows a row that was changed", async () => {
    const { registry } = await tampered(newHome(), async ({ db }) => {
      await db.updateTable("audit").set({ who: "nobody" }).where("seq", "=", 2).execute();
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: false, seq: 2, problem: "changed" });
  });

  test("shows a row that was taken out", async () => {
    const { registry } = await tampered(newHome(), async ({ db }) => {
      await db.deleteFrom("audit").where("seq", "=", 2).execute();
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: false, seq: 2, problem: "gap" });
  });

  test("shows a tail that was cut off, at once and for ever after", async () => {
    const { registry, home } = await tampered(newHome(), async ({ db }) => {
      await db.deleteFrom("audit").where("seq", ">=", 3).execute();
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: false, problem: "cut" });
    await home.close();
    const again = (await home.open()).registry;
    expect(await again.audit.verify()).toMatchObject({
      ok: false,
      problem: "cut",
      says: expect.stringContaining("noticed at a start"),
    });
    await again.audit.append("audit.accept", {}, ADA);
    expect(await again.audit.verify()).toMatchObject({ ok: true });
  });

  test("shows a chain that was written anew by somebody who has the master secret", async () => {
    const home = newHome();
    const { registry } = await tampered(home, async ({ db }) => {
      const master = parseMaster(readFileSync(join(home.directory, "master")), "test");
      const key = master.subkey("audit");
      let previous = GENESIS;
      const rows = [];
      for await (const row of auditRows(db)) rows.push(row);
      for (const row of rows) {
        const changed = row.seq === 2 ? { ...row, who: "nobody" } : row;
        previous = rowMac(key, previous, changed);
        await db
          .updateTable("audit")
          .set({ who: changed.who, mac: Buffer.from(previous) })
          .where("seq", "=", row.seq)
          .execute();
      }
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: false, problem: "recomputed" });
  });

  test("shows rows that somebody put behind the end", async () => {
    const home = newHome();
    const { registry } = await tampered(home, async ({ db }) => {
      const master = parseMaster(readFileSync(join(home.directory, "master")), "test");
      const last = await db.selectFrom("audit").selectAll().orderBy("seq", "desc").limit(1).executeTakeFirstOrThrow();
      const row = {
        seq: last.seq + 1,
        time: BEGIN,
        action: "device.add",
        device: ID,
        who: "x",
        from: "x",
        detail: {},
        masterId: master.id,
      } as const;
      const mac = Buffer.from(rowMac(master.subkey("audit"), new Uint8Array(last.mac), row));
      await db
        .insertInto("audit")
        .values({ ...last, seq: row.seq, action: row.action, device: ID, who: "x", origin: "x", detail: "{}", mac })
        .execute();
    });
    expect(await registry.audit.verify()).toMatchObject({ ok: false, problem: "recomputed" });
  });

  test("shows a second place that is missing, or that somebody else wrote", async () => {
    const home = newHome();
    const missing = await tampered(home, () => Promise.resolve(rmSync(join(home.directory, "audit.head"))));
    expect(await missing.registry.audit.verify()).toMatchObject({ ok: false, problem: "head-missing" });
    const other = newHome();
    const forged = await tampered(other, () => {
      const path = join(other.directory, "audit.head");
      writeFileSync(path, readFileSync(path, "utf8").replace(/"seq":\d+/, '"seq":1'));
      return Promise.resolve();
    });
    expect(await forged.registry.audit.verify()).toMatchObject({ ok: false, problem: "head-forged" });
  });

  test.each([
    ["the note of a commit did not reach the second place", 2, 3],
    ["the second place was prepared for a commit that never came", 3, 4],
  ])("is whole after a crash: %s", async (_, committed, prepared) => {
    const home = newHome();
    const { registry } = await home.open();
    await registry.add({ id: ID, name: undefined, tags: [] }, ADA);
    await registry.suspend(ID, ADA);
    const rows = await all(registry);
    await home.close();
    const master = parseMaster(readFileSync(join(home.directory, "master")), "test");
    const at = (seq: number) => ({
      seq,
      mac: rows[seq - 1] === undefined ? new Uint8Array(32) : Buffer.from(rows[seq - 1]?.mac ?? "", "hex"),
    });
    const heads = { committed: at(committed), prepared: at(prepared) };
    await new HeadFile(join(home.directory, "audit.head")).write(heads, master.id, master.subkey("audit"), true);
    expect(await (await home.open()).registry.audit.verify()).toMatchObject({ ok: true, rows: 4 });
  });

  test("has one row for a refusal's cause, source and minute, and no more in a day than fit", async () => {
    const home = newHome();
    const { registry } = await home.open();
    const refused = (index: number) => ({ minute: BEGIN, cause: "wrong-key", source: `192.0.2.${index}`, count: 7 });
    await registry.audit.appendRefusals([refused(1), refused(2)]);
    await registry.audit.appendRefusals(Array.from({ length: REFUSAL_ROWS_A_DAY + 50 }, (_, index) => refused(index)));
    const rows = await all(registry);
    expect(rows.filter(({ action }) => action === "refused")).toHaveLength(REFUSAL_ROWS_A_DAY);
    expect(rows.filter(({ action }) => action === "refused.more").map(({ detail }) => detail)).toEqual([
      { attempts: 52 * 7, minutesOfSources: 52 },
    ]);
    home.time.passWall(MINUTE_MS);
    await registry.audit.appendRefusals([refused(1)]);
    expect((await all(registry)).filter(({ action }) => action.startsWith("refused"))).toHaveLength(
      REFUSAL_ROWS_A_DAY + 1,
    );
    await home.close();
    const again = (await home.open()).registry; // a restart does not begin the day anew
    await again.audit.appendRefusals([refused(1)]);
    expect((await all(again)).filter(({ action }) => action === "refused")).toHaveLength(REFUSAL_ROWS_A_DAY);
  });
});

/** A registry of a few changes that somebody then laid hands on, opened again. */
async function tampered(
  home: TestHome,
  tamper: (storage: Storage) => Promise<void>,
): Promise<{ registry: Registry; home: TestHome }> {
  const { registry } = await home.open();
  await registry.add({ id: ID, name: undefined, tags: [] }, ADA);
  await registry.suspend(ID, ADA);
  await registry.resume(ID, ADA);
  await home.close();
  const storage =
    home.database === undefined ? openSqliteStorage(home.directory) : await openPostgresStorage(home.database);
  await sql`select 1`.execute(storage.db);
  await tamper(storage);
  await storage.close();
  return { registry: (await home.open()).registry, home };
}

async function all(registry: Registry) {
  const rows = [];
  for await (const row of registry.audit.rows()) rows.push(row);
  return rows;
}
