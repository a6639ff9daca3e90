import assert from "node:assert/strict";
import type { Undelivered } from "../../src/connection/events.ts";
import { MAX_UNKNOWN } from "./bounds.ts";

/**
 * One direction of a session: what the application handed over, and what may be said about it afterwards. Delivered is a prefix of
 * sent, acknowledged a prefix of delivered, and on datagrams the close accounts for every message.
 */
export class MessageOracle {
  readonly #name: string;
  readonly #sent: Uint8Array[] = [];
  #delivered = 0;
  #acknowledged = 0;
  /** Only where applications have to accept. */
  accepted: number | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  get sent(): number {
    return this.#sent.length;
  }

  get delivered(): number {
    return this.#delivered;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  noteSent(id: number, message: Uint8Array): void {
    if (id !== this.#sent.length) assert.fail(`${this.#name}: send() answered ${id}, not ${this.#sent.length}`);
    this.#sent.push(message);
  }

  noteDelivered(message: Uint8Array): void {
    const expected = this.#sent[this.#delivered];
    if (expected === undefined) assert.fail(`${this.#name}: a message arrived that was never sent, or twice`);
    if (Buffer.compare(expected, message) !== 0) {
      assert.fail(
        `${this.#name}: message ${this.#delivered} arrived as ${message.length} bytes, other than the ${expected.length} sent`,
      );
    }
    this.#delivered++;
  }

  noteAcknowledged(id: number): void {
    if (id !== this.#acknowledged) assert.fail(`${this.#name}: message ${id} was acknowledged out of order`);
    if (id >= this.#delivered) assert.fail(`${this.#name}: message ${id} was acknowledged but is not delivered`);
    if (id >= (this.accepted ?? this.#delivered))
      assert.fail(`${this.#name}: message ${id} was acknowledged but is not accepted`);
    this.#acknowledged++;
  }

  /** Checks what the sender says at its end, on datagrams: nothing is left unsaid, and nothing called unsent has arrived. */
  noteClosed({ unknown, unsent }: Undelivered): void {
    const rest = Array.from(this.#sent.keys()).slice(this.#acknowledged);
    assert.deepEqual([...unknown, ...unsent], rest, `${this.#name}: the close does not account for every message`);
    assert(unknown.length <= MAX_UNKNOWN, `${this.#name}: ${unknown.length} messages on their way at once`);
    assert(
      this.#delivered <= this.#acknowledged + unknown.length,
      `${this.#name}: ${this.#delivered} delivered, but only ${this.#acknowledged} acknowledged and ${unknown.length} unknown`,
    );
  }
}
