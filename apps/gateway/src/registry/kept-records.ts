import type { DeviceId, SeenDevice, WallMs } from "../records.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";
import type { DeviceCopy } from "./device-copy.ts";
import type { Database } from "./schema.ts";

/** Refused attempts that are kept over a restart; the oldest give way. */
const REFUSALS = 10_000;
const SEEN = 256;
const ROWS_AN_INSERT = 1_000;
const SEEN_A_FLUSH = 2_000;

/** What is kept without a row in the audit: settings, refused attempts, strangers, and when devices were last seen. */
export class KeptRecords {
  readonly #db: Database;
  readonly #copy: DeviceCopy;
  readonly #unwritten: Set<DeviceId> = new Set();
  #nextSlot: number | undefined;

  constructor(db: Database, copy: DeviceCopy) {
    this.#db = db;
    this.#copy = copy;
  }

  noteSeen(id: DeviceId, at: WallMs): void {
    this.#copy.noteSeen(id, at);
    this.#unwritten.add(id);
  }

  /** Writes when devices were last seen, some at a time. */
  async flushSeen(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const ids = [...this.#unwritten].slice(0, SEEN_A_FLUSH);
    await this.#db.transaction().execute(async (change) => {
      for (const id of ids) {
        const at = this.#copy.lastSeen(id);
        if (at !== undefined)
          await change.updateTable("devices").set({ last_seen_at: at }).where("id", "=", id).execute();
      }
    });
    for (const id of ids) this.#unwritten.delete(id);
  }

  async setting(name: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom("meta")
      .select("value")
      .where("key", "=", `setting:${name}`)
      .executeTakeFirst();
    return row?.value;
  }

  async putSetting(name: string, value: string): Promise<void> {
    await this.#db
      .insertInto("meta")
      .values({ key: `setting:${name}`, value })
      .onConflict((conflict) => conflict.column("key").doUpdateSet({ value }))
      .execute();
  }

  async loadRefusals(): Promise<readonly RefusalRecord[]> {
    const rows = await this.#db.selectFrom("refusals").select("record").execute();
    const records = rows.map(({ record }) => JSON.parse(record) as RefusalRecord);
    return records.sort((a, b) => b.lastAt - a.lastAt);
  }

  /** Takes the places of the oldest. */
  async saveRefusals(records: readonly RefusalRecord[]): Promise<void> {
    if (records.length === 0) return;
    let slot = await this.#slot();
    const rows = records.slice(-REFUSALS).map((record) => {
      const row = { slot, record: JSON.stringify(record) };
      slot = (slot + 1) % REFUSALS;
      return row;
    });
    await this.#db.transaction().execute(async (change) => {
      for (let start = 0; start < rows.length; start += ROWS_AN_INSERT) {
        await change
          .insertInto("refusals")
          .values(rows.slice(start, start + ROWS_AN_INSERT))
          .onConflict((conflict) =>
            conflict.column("slot").doUpdateSet((row) => ({ record: row.ref("excluded.record") })),
          )
          .execute();
      }
    });
    this.#nextSlot = slot;
    await this.putSetting("refusals.next", String(slot));
  }

  async loadSeen(): Promise<readonly SeenDevice[]> {
    const rows = await this.#db.selectFrom("seen").select("record").execute();
    return rows.map(({ record }) => JSON.parse(record) as SeenDevice);
  }

  /** Replaces them all. */
  async saveSeen(devices: readonly SeenDevice[]): Promise<void> {
    await this.#db.transaction().execute(async (change) => {
      await change.deleteFrom("seen").execute();
      const rows = devices.slice(0, SEEN).map((device) => ({ id: device.id, record: JSON.stringify(device) }));
      if (rows.length > 0) await change.insertInto("seen").values(rows).execute();
    });
  }

  async #slot(): Promise<number> {
    this.#nextSlot ??= Number((await this.setting("refusals.next")) ?? 0);
    return this.#nextSlot;
  }
}
