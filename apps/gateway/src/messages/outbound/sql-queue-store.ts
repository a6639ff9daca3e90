import { type ExpressionBuilder, type RawBuilder, sql } from "kysely";
import { GatewayError } from "../../errors.ts";
import type { DeviceId, WallMs } from "../../records.ts";
import type { WallClock } from "../../time/wall-clock.ts";
import type { OutboundRecord } from "../messages.ts";
import type { MessageTables, OutboundRow } from "../schema.ts";
import type { MessageChange, MessageStorage } from "../storage.ts";
import { FRESH, RECORD, recordOf, TABLE } from "./queue-rows.ts";
import type {
  Batch,
  BatchOutcome,
  NewMessage,
  QueueStore,
  RecordFilter,
  SenderCount,
  StoredQueue,
  Take,
  Taken,
  TakenMessage,
} from "./queue-store.ts";

/** How payloads are kept: as they are, or sealed. Bound to the message's id and device. */
export interface PayloadSeal {
  seal(id: number, device: DeviceId, data: Uint8Array): Pick<OutboundRow, "sealed_by" | "data">;
  open(row: Pick<OutboundRow, "id" | "device" | "sealed_by" | "data">): Uint8Array;
}

type Where = ExpressionBuilder<MessageTables, "messages_out">;
// Written out, so that the databases see that a partial index covers them.
const waits = (): RawBuilder<boolean> => sql<boolean>`ended_at is null`;
const isSent = (): RawBuilder<boolean> => sql<boolean>`state = 'sent'`;

/** The queue in the database of messages: one row a message. */
export class SqlQueueStore implements QueueStore {
  readonly #storage: MessageStorage;
  readonly #seal: PayloadSeal;
  readonly #wallClock: WallClock;

  constructor(storage: MessageStorage, seal: PayloadSeal, wallClock: WallClock) {
    this.#storage = storage;
    this.#seal = seal;
    this.#wallClock = wallClock;
  }

  load(underWay: readonly number[]): Promise<StoredQueue> {
    return this.#storage.transaction(async ({ sql: change }) => {
      await change
        .updateTable("messages_out")
        .set({ state: "queued", maybe_twice: 1 })
        .where(isSent())
        .where((where) => where.not(this.#among(where, underWay)))
        .execute();
      const backlogs = await change
        .selectFrom("messages_out")
        .select((select) => [
          "device",
          select.fn.countAll<number>().as("messages"),
          select.fn.sum<number>("bytes").as("bytes"),
        ])
        .where(waits())
        .groupBy("device")
        .execute();
      const { ended } = await change
        .selectFrom("messages_out")
        .select((select) => select.fn.countAll<number>().as("ended"))
        .where("ended_at", "is not", null)
        .executeTakeFirstOrThrow();
      const doubted = await change
        .selectFrom("messages_out")
        .select("id")
        .where(sql<boolean>`clock_doubted = 1`)
        .limit(1)
        .execute();
      return {
        backlogs: backlogs.map(({ device, messages, bytes }) => ({
          device,
          messages: Number(messages),
          bytes: Number(bytes),
        })),
        ended: Number(ended),
        nextExpiryAt: await firstExpiry(change),
        clockDoubted: doubted.length > 0,
      };
    });
  }

  commit({ confirmed, unknown, unsent, arriving, takes }: Batch): Promise<BatchOutcome> {
    return this.#storage.transaction(async (change) => {
      const now = this.#wallClock.now();
      const settled = [
        ...(await this.#update(change, confirmed, { state: "confirmed", ended_at: now, clock_doubted: 0 })),
        ...(await this.#update(change, unknown, { state: "queued", maybe_twice: 1 })),
        ...(await this.#update(change, unsent, { state: "queued" })),
      ];
      const arrived = await this.#insert(change, arriving, now);
      const handed: OutboundRecord[] = [];
      const taken: Taken[] = [];
      for (const take of takes) {
        const outcome = await this.#take(change, take, now);
        handed.push(...outcome.changed);
        taken.push(outcome.taken);
      }
      return { changed: [...settled, ...arrived, ...handed], arrived, taken };
    });
  }

  async cancel(id: number): Promise<{ readonly record: OutboundRecord; readonly cancelled: boolean } | undefined> {
    return this.#storage.transaction(async ({ sql: change }) => {
      const row = await change
        .updateTable("messages_out")
        .set({ state: "cancelled", ended_at: this.#wallClock.now(), clock_doubted: 0 })
        .where("id", "=", id)
        .where("state", "=", "queued")
        .returning(RECORD)
        .executeTakeFirst();
      if (row !== undefined) return { record: recordOf(row), cancelled: true };
      const other = await change.selectFrom("messages_out").select(RECORD).where("id", "=", id).executeTakeFirst();
      return other === undefined ? undefined : { record: recordOf(other), cancelled: false };
    });
  }

  cancelDevice(device: DeviceId, limit: number): Promise<readonly OutboundRecord[]> {
    return this.#end("cancelled", limit, (where) => where("device", "=", device));
  }

  expire(limit: number): Promise<readonly OutboundRecord[]> {
    return this.#end("expired", limit, (where) =>
      where.and([where("expires_at", "<=", this.#wallClock.now()), where("state", "=", "queued")]),
    );
  }

  trustClock(): Promise<void> {
    const now = this.#wallClock.now();
    return this.#storage.transaction(async ({ sql: change }) => {
      await change
        .updateTable("messages_out")
        .set({ expires_at: sql<number>`ttl_ms + ${now}`, clock_doubted: 0 })
        .where(sql<boolean>`clock_doubted = 1`)
        .execute();
    });
  }

  nextExpiryAt(): Promise<WallMs | undefined> {
    return firstExpiry(this.#storage.db);
  }

  async prune(before: WallMs | undefined, excess: number, limit: number): Promise<number> {
    const wanted = Math.min(limit, before === undefined ? excess : limit);
    if (wanted <= 0) return 0;
    return this.#storage.transaction(async ({ sql: change }) => {
      const oldest = await change
        .selectFrom("messages_out")
        .select(["id", "ended_at"])
        .where("ended_at", "is not", null)
        .orderBy("ended_at")
        .orderBy("id")
        .limit(wanted)
        .execute();
      const gone = oldest.filter(
        ({ ended_at }, index) => index < excess || (before !== undefined && Number(ended_at) < before),
      );
      if (gone.length === 0) return 0;
      await change
        .deleteFrom("messages_out")
        .where((where) =>
          this.#among(
            where,
            gone.map(({ id }) => Number(id)),
          ),
        )
        .execute();
      return gone.length;
    });
  }

  async get(id: number): Promise<OutboundRecord | undefined> {
    const row = await this.#storage.db
      .selectFrom("messages_out")
      .select(RECORD)
      .where("id", "=", id)
      .executeTakeFirst();
    return row === undefined ? undefined : recordOf(row);
  }

  async findKey(
    device: DeviceId,
    key: string,
  ): Promise<{ readonly record: OutboundRecord; readonly data: Uint8Array } | undefined> {
    const row = await this.#storage.db
      .selectFrom("messages_out")
      .select([...RECORD, "sealed_by", "data"])
      .where("device", "=", device)
      .where("send_key", "=", key)
      .where("send_key", "is not", null)
      .executeTakeFirst();
    return row === undefined ? undefined : { record: recordOf(row), data: this.#seal.open(row) };
  }

  async page({ device, state }: RecordFilter, after: number, limit: number): Promise<readonly OutboundRecord[]> {
    let query = this.#storage.db.selectFrom("messages_out").select(RECORD).where("id", ">", after);
    if (device !== undefined) query = query.where("device", "=", device);
    query = state === undefined ? query.where(waits()) : query.where("state", "=", state);
    return (await query.orderBy("id").limit(limit).execute()).map(recordOf);
  }

  async sendersAfter(id: number): Promise<readonly SenderCount[]> {
    const rows = await this.#storage.db
      .selectFrom("messages_out")
      .select((select) => [
        "device",
        "sender",
        select.fn.countAll<number>().as("messages"),
        select.fn.min<number>("id").as("first"),
        select.fn.max<number>("id").as("last"),
      ])
      .where("id", ">", id)
      .groupBy(["device", "sender"])
      .execute();
    return rows.map(({ device, sender, messages, first, last }) => ({
      device,
      by: sender,
      messages: Number(messages),
      first: Number(first),
      last: Number(last),
    }));
  }

  async #insert(change: MessageChange, arriving: readonly NewMessage[], now: WallMs): Promise<OutboundRecord[]> {
    if (arriving.length === 0) return [];
    const clockDoubted = this.#wallClock.doubt === undefined ? 0 : 1;
    const records: OutboundRecord[] = [];
    const rows = arriving.map(({ device, data, ttlMs, by, key }) => {
      const id = change.takeId();
      const kept = this.#seal.seal(id, device, data);
      const record = { id, device, state: "queued", queuedAt: now, expiresAt: now + ttlMs } as const;
      records.push({ ...record, ...FRESH, bytes: data.length, by });
      const values = [id, device, "queued", now, ttlMs, now + ttlMs, clockDoubted, 0, 0, data.length, by];
      return [...values, key ?? null, kept.sealed_by, kept.data];
    });
    await change.insertAll(TABLE, rows);
    return records;
  }

  /** The oldest that wait leave for a session; on a trusted clock those whose time is over expire instead. */
  async #take(
    change: MessageChange,
    { device, after, limit }: Take,
    now: WallMs,
  ): Promise<{ readonly changed: readonly OutboundRecord[]; readonly taken: Taken }> {
    const rows = await change.sql
      .selectFrom("messages_out")
      .select(["id", "device", "expires_at", "sealed_by", "data"])
      .where("device", "=", device)
      .where(waits())
      .where("id", ">", after)
      .orderBy("id")
      .limit(limit)
      .execute();
    if (rows.length === 0) return { changed: [], taken: { messages: [], nothing: true } };
    const trusted = this.#wallClock.doubt === undefined;
    const leaving: TakenMessage[] = [];
    const broken: number[] = [];
    const over: number[] = [];
    for (const row of rows) {
      if (trusted && row.expires_at <= now) over.push(row.id);
      else {
        const data = this.#opened(row);
        if (data === undefined) broken.push(row.id);
        else leaving.push({ id: row.id, data });
      }
    }
    const changed = [
      ...(await this.#update(change, over, { state: "expired", ended_at: now, clock_doubted: 0 })),
      ...(await this.#update(change, broken, { state: "cancelled", ended_at: now, clock_doubted: 0 })),
      ...(await this.#update(
        change,
        leaving.map(({ id }) => id),
        { state: "sent", sent_at: now, attempts: sql<number>`attempts + 1` },
      )),
    ];
    return { changed, taken: { messages: leaving, nothing: false } };
  }

  /** Undefined for a row that was changed, or is sealed under a master that is not here: it must not hold up what waits behind it. */
  #opened(row: Parameters<PayloadSeal["open"]>[0]): Uint8Array | undefined {
    try {
      return this.#seal.open(row);
    } catch (error) {
      if (error instanceof GatewayError && error.code === "damaged") return undefined;
      throw error;
    }
  }

  /** Those among the ids that wait. */
  async #update(
    { sql: change }: MessageChange,
    ids: readonly number[],
    values: OutboundUpdate,
  ): Promise<readonly OutboundRecord[]> {
    if (ids.length === 0) return [];
    const rows = await change
      .updateTable("messages_out")
      .set(values)
      .where((where) => this.#among(where, ids))
      .where(waits())
      .returning(RECORD)
      .execute();
    return rows.map(recordOf).sort((a, b) => a.id - b.id);
  }

  #end(
    state: "expired" | "cancelled",
    limit: number,
    which: (where: Where) => ReturnType<Where>,
  ): Promise<readonly OutboundRecord[]> {
    return this.#storage.transaction(async (change) => {
      const rows = await change.sql
        .selectFrom("messages_out")
        .select("id")
        .where(waits())
        .where(which)
        .limit(limit)
        .execute();
      const ended = { state, ended_at: this.#wallClock.now(), clock_doubted: 0 };
      return this.#update(
        change,
        rows.map(({ id }) => id),
        ended,
      );
    });
  }

  /** One text whatever their number is, so that the statement stays prepared. */
  #among(where: Where, ids: readonly number[]): ReturnType<Where> {
    const id = where.ref("id");
    return (this.#storage.kind === "sqlite"
      ? sql<boolean>`${id} in (select value from json_each(${JSON.stringify(ids)}))`
      : sql<boolean>`${id} = any(${ids}::bigint[])`) as unknown as ReturnType<Where>;
  }
}

type OutboundUpdate = {
  readonly state: OutboundRow["state"];
  readonly sent_at?: number;
  readonly ended_at?: number;
  readonly clock_doubted?: number;
  readonly maybe_twice?: number;
  readonly attempts?: RawBuilder<number>;
};

async function firstExpiry(db: MessageStorage["db"]): Promise<WallMs | undefined> {
  const row = await db
    .selectFrom("messages_out")
    .select("expires_at")
    .where(waits())
    .orderBy("expires_at")
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? undefined : Number(row.expires_at);
}
