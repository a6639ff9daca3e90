import type { DeviceId, WallMs } from "../../records.ts";
import type { MessageSeal } from "../message-seal.ts";
import type { OutboundRecord, OutboundState } from "../messages.ts";
import type { InboundRow, OutboundRow } from "../schema.ts";
import type { MessageStorage } from "../storage.ts";

/** Rows of each direction that are read at once: everybody else waits for so long. */
const PAGE = 200;

/** A message of either direction, as the log has it. */
export interface LoggedMessage {
  readonly id: number;
  readonly device: DeviceId;
  readonly direction: "in" | "out";
  /** In: when the gateway had it whole. Out: when it was queued. */
  readonly time: WallMs;
  readonly session: string | undefined;
  readonly sequence: number | undefined;
  readonly data: Uint8Array;
  readonly state: OutboundState | undefined;
}

export interface LogPage {
  readonly messages: readonly LoggedMessage[];
  /** There was no more when it was read. */
  readonly last: boolean;
}

type StoredOut = Pick<OutboundRow, "id" | "device" | "state" | "queued_at" | "sealed_by" | "data">;
const OUT = ["id", "device", "state", "queued_at", "sealed_by", "data"] as const;

/** Stored messages of both directions in one order: ids are ascending over both. */
export class LogPages {
  readonly #storage: MessageStorage;
  readonly #seals: { readonly in: MessageSeal; readonly out: MessageSeal };

  constructor(storage: MessageStorage, seals: { readonly in: MessageSeal; readonly out: MessageSeal }) {
    this.#storage = storage;
    this.#seals = seals;
  }

  async after(cursor: number, device: DeviceId | undefined): Promise<LogPage> {
    const [received, sent] = await Promise.all([this.#received(cursor, device), this.#sent(cursor, device)]);
    const messages = [...received.map((row) => this.#fromIn(row)), ...sent.map((row) => this.#fromOut(row))];
    messages.sort((a, b) => a.id - b.id);
    return { messages: messages.slice(0, PAGE), last: messages.length < PAGE };
  }

  /** The id before the first message that is not older. Times ascend with ids, unless the clock was set back. */
  async before(since: WallMs): Promise<number> {
    const { db } = this.#storage;
    const found = await Promise.all([
      firstSince(since, async (id) => {
        const query = db.selectFrom("messages_in").select(["id", "time"]).where("id", ">=", id).orderBy("id");
        return query.limit(1).executeTakeFirst();
      }),
      firstSince(since, async (id) => {
        const query = db.selectFrom("messages_out").select(["id", "queued_at as time"]).where("id", ">=", id);
        return query.orderBy("id").limit(1).executeTakeFirst();
      }),
    ]);
    return Math.min(...found) - 1;
  }

  /** The id before the newest so many. */
  async beforeNewest(count: number, device: DeviceId | undefined): Promise<number> {
    const { db } = this.#storage;
    const received = db.selectFrom("messages_in").select("id").orderBy("id", "desc").limit(count);
    const sent = db.selectFrom("messages_out").select("id").orderBy("id", "desc").limit(count);
    const found = await Promise.all(
      device === undefined
        ? [received.execute(), sent.execute()]
        : [received.where("device", "=", device).execute(), sent.where("device", "=", device).execute()],
    );
    const ids = found.flat().map(({ id }) => id);
    ids.sort((a, b) => b - a);
    return (ids[Math.min(count, ids.length) - 1] ?? 1) - 1;
  }

  /** A message to a device in the state that an event told of; undefined when it is gone already. */
  async outbound({ id, state }: OutboundRecord): Promise<LoggedMessage | undefined> {
    const row = await this.#storage.db.selectFrom("messages_out").select(OUT).where("id", "=", id).executeTakeFirst();
    return row === undefined ? undefined : { ...this.#fromOut(row), state };
  }

  #received(cursor: number, device: DeviceId | undefined): Promise<InboundRow[]> {
    const query = this.#storage.db.selectFrom("messages_in").selectAll().where("id", ">", cursor);
    return (device === undefined ? query : query.where("device", "=", device)).orderBy("id").limit(PAGE).execute();
  }

  #sent(cursor: number, device: DeviceId | undefined): Promise<StoredOut[]> {
    const query = this.#storage.db.selectFrom("messages_out").select(OUT).where("id", ">", cursor);
    return (device === undefined ? query : query.where("device", "=", device)).orderBy("id").limit(PAGE).execute();
  }

  #fromIn(row: InboundRow): LoggedMessage {
    const { id, device, time, session, sequence } = row;
    return { id, device, direction: "in", time, session, sequence, data: this.#seals.in.open(row), state: undefined };
  }

  #fromOut(row: StoredOut): LoggedMessage {
    const { id, device, queued_at: time, state } = row;
    const data = this.#seals.out.open(row);
    return { id, device, direction: "out", time, session: undefined, sequence: undefined, data, state };
  }
}

/** Halves the ids, from 1 to the largest there can be, until the first row that is not older is found; infinity when all are older. */
async function firstSince(
  since: WallMs,
  rowFrom: (id: number) => Promise<{ readonly id: number; readonly time: WallMs } | undefined>,
): Promise<number> {
  let low = 1;
  let found = Number.MAX_SAFE_INTEGER;
  for (let high = found; low < high; ) {
    const middle = low + Math.floor((high - low) / 2);
    const row = await rowFrom(middle);
    if (row === undefined) high = middle;
    else if (row.time < since) low = row.id + 1;
    else {
      high = middle;
      found = row.id;
    }
  }
  return found;
}
