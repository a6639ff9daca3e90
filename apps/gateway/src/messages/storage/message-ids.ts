import { GatewayError } from "../../errors.ts";
import type { MessageDatabase, MessageTransaction } from "../schema.ts";

/** Ids are given away from memory, out of a block that the database has been told of: after a crash the next block begins. */
const BLOCK = 1_000_000;
const RESERVED = "reserved";

export class MessageIds {
  #next = 1;
  #reserved = 1;

  async load(db: MessageDatabase): Promise<void> {
    const row = await db.selectFrom("messages_meta").select("value").where("key", "=", RESERVED).executeTakeFirst();
    const reserved = row === undefined ? 1 : Number(row.value);
    // Ours is the newer when the database was away: what was taken meanwhile is not taken again.
    this.#next = Math.max(this.#next, reserved);
    this.#reserved = reserved;
  }

  take(): number {
    if (this.#next >= this.#reserved)
      throw new GatewayError(
        "database",
        "the database of messages was away for so long that there are no numbers left",
      );
    return this.#next++;
  }

  /** Within a transaction, before anything is taken: answers what is reserved once it is committed, for settle(). */
  async reserve(change: MessageTransaction): Promise<number> {
    if (this.#reserved - this.#next > BLOCK / 2) return this.#reserved;
    return this.#write(change, this.#next + BLOCK);
  }

  settle(reserved: number): void {
    this.#reserved = reserved;
  }

  /** At an orderly end nothing is left out. */
  async giveBack(change: MessageTransaction): Promise<void> {
    await this.#write(change, this.#next);
  }

  async #write(change: MessageTransaction, reserved: number): Promise<number> {
    await change
      .insertInto("messages_meta")
      .values({ key: RESERVED, value: String(reserved) })
      .onConflict((conflict) => conflict.column("key").doUpdateSet({ value: String(reserved) }))
      .execute();
    return reserved;
  }
}
