import type { DeviceId, WallMs } from "../../records.ts";
import type { WallClock } from "../../time/wall-clock.ts";
import type { InboundMessage, MessageSettings } from "../messages.ts";
import type { MessageStorage } from "../storage.ts";

/** What a message takes beside its payload: its row and its place in the index, about. */
export const ROW_BYTES = 128;
/** Rows that go in one transaction: devices' messages come between two. */
const ROWS_AT_ONCE = 4_000;
/** Down to so much of a limit, so that not every message has to push another one out. */
const LOW_WATER = 0.95;

export type Keeping = Pick<MessageSettings, "keepMs" | "keepBytes" | "keepBytesPerDevice">;
export type DroppedBecause = "age" | "bytes" | "device";

interface StoredSize {
  readonly id: number;
  readonly device: DeviceId;
  readonly bytes: number;
  readonly time: WallMs;
}

/**
 * Keeps what devices have sent within its limits: the oldest goes first. Sums are in memory, and rows are found by their keys: nothing is looked
 * through. Messages go by age only while the wall clock is trusted.
 */
export class Retention {
  /** Messages that went, by cause. */
  readonly dropped: Record<DroppedBecause, number> = { age: 0, bytes: 0, device: 0 };
  readonly #storage: MessageStorage;
  readonly #keeping: Keeping;
  readonly #wallClock: WallClock;
  readonly #bytes: Map<DeviceId, number> = new Map();
  readonly #over: Set<DeviceId> = new Set();
  #total = 0;
  #messages = 0;
  #trimming: Promise<void> | undefined;

  constructor(storage: MessageStorage, keeping: Keeping, wallClock: WallClock) {
    this.#storage = storage;
    this.#keeping = keeping;
    this.#wallClock = wallClock;
  }

  get storedBytes(): number {
    return this.#total;
  }

  get storedMessages(): number {
    return this.#messages;
  }

  /** Sums up what is stored, from the index. Rejects with GatewayError "database". */
  async load(): Promise<void> {
    const sums = await this.#storage.transaction(({ sql }) =>
      sql
        .selectFrom("messages_in")
        .select(({ fn }) => ["device", fn.count<number>("id").as("messages"), fn.sum<number>("bytes").as("bytes")])
        .groupBy("device")
        .execute(),
    );
    this.#bytes.clear();
    this.#over.clear();
    this.#total = 0;
    this.#messages = 0;
    for (const { device, messages, bytes } of sums) {
      this.#messages += Number(messages);
      this.#add(device, Number(bytes) + Number(messages) * ROW_BYTES);
    }
  }

  /** Notes what was stored; when it is too much, some of it goes, in a while. */
  noteStored(messages: readonly InboundMessage[]): void {
    for (const { device, data } of messages) this.#add(device, data.length + ROW_BYTES);
    this.#messages += messages.length;
    if (this.#total > this.#keeping.keepBytes || this.#over.size > 0) this.trim();
  }

  /** Lets go of what is too old, or too much. What the database does not do now it does the next time. */
  trim(): void {
    this.#trimming ??= this.#trim()
      .catch(() => {})
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    await this.#trimming;
  }

  async #trim(): Promise<void> {
    if (this.#wallClock.doubt === undefined) {
      const before = this.#wallClock.now() - this.#keeping.keepMs;
      // Mostly none is too old, and one row says so.
      const [oldest] = await this.#oldest(undefined, 1);
      if (oldest !== undefined && oldest.time < before) await this.#drop("age", undefined, ({ time }) => time < before);
    }
    if (this.#total > this.#keeping.keepBytes) {
      let excess = this.#total - LOW_WATER * this.#keeping.keepBytes;
      await this.#drop("bytes", undefined, ({ bytes }) => {
        const goes = excess > 0;
        excess -= bytes + ROW_BYTES;
        return goes;
      });
    }
    for (const device of this.#over) {
      let excess = (this.#bytes.get(device) ?? 0) - LOW_WATER * this.#keeping.keepBytesPerDevice;
      await this.#drop("device", device, ({ bytes }) => {
        const goes = excess > 0;
        excess -= bytes + ROW_BYTES;
        return goes;
      });
      this.#over.delete(device);
    }
  }

  /** Removes the oldest, of a device or of all, as long as they go. */
  async #drop(
    because: DroppedBecause,
    device: DeviceId | undefined,
    goes: (stored: StoredSize) => boolean,
  ): Promise<void> {
    for (let more = true; more; ) {
      const oldest = await this.#oldest(device, ROWS_AT_ONCE);
      const kept = oldest.findIndex((stored) => !goes(stored));
      const going = kept < 0 ? oldest : oldest.slice(0, kept);
      const last = going.at(-1);
      if (last === undefined) return;
      await this.#storage.transaction(({ sql }) => {
        const query = sql.deleteFrom("messages_in").where("id", "<=", last.id);
        return (device === undefined ? query : query.where("device", "=", device)).execute();
      });
      for (const { device: of, bytes } of going) this.#add(of, -bytes - ROW_BYTES);
      this.#messages -= going.length;
      this.dropped[because] += going.length;
      more = going.length === ROWS_AT_ONCE;
    }
  }

  #oldest(device: DeviceId | undefined, rows: number): Promise<StoredSize[]> {
    const query = this.#storage.db
      .selectFrom("messages_in")
      .select(["id", "device", "bytes", "time"])
      .orderBy("id")
      .limit(rows);
    return (device === undefined ? query : query.where("device", "=", device)).execute();
  }

  #add(device: DeviceId, bytes: number): void {
    const sum = (this.#bytes.get(device) ?? 0) + bytes;
    this.#total += bytes;
    if (sum > 0) this.#bytes.set(device, sum);
    else this.#bytes.delete(device);
    if (sum > this.#keeping.keepBytesPerDevice) this.#over.add(device);
  }
}
