import assert from "node:assert/strict";
import { MAX_FRAGMENT_LENGTH } from "../../src/constants.ts";

/** What may go wrong on the SDK's side of a schedule by its own flaws; the names are those of docs/interop.md. */
export interface Excuses {
  /** It acknowledges before it has decrypted, stalls or loses its place: an acknowledged message of ours may be lost. */
  losesAcknowledged: boolean;
  /** F6, F7: it takes the rest of a message for a whole one. */
  readonly tails: boolean;
}

/**
 * Messages from the SDK's application to ours: what we acknowledged arrives once and in order.
 *
 * One exception is the SDK's own (F22): when only the UTACKs of a fragment were lost it gives the message up, and its next message
 * continues the run of fragments, on the next number. No receiver can tell the two apart: they become one message, or one too long.
 */
export class FromSdkOracle {
  readonly #calls: Uint8Array[] = [];
  readonly #delivered = new Set<number>();
  readonly #givenUp = new Set<number>();
  #last = -1;
  /** Messages that the SDK itself ran into one it had given up. */
  spliced = 0;

  /** send() was called for the next time. */
  noteCall(message: Uint8Array): number {
    return this.#calls.push(message) - 1;
  }

  noteDelivered(message: Uint8Array): void {
    const whole = this.#calls.findIndex((call, i) => i > this.#last && Buffer.compare(call, message) === 0);
    const index = whole === -1 ? this.#splicedFrom(message) : whole;
    if (index === -1)
      assert.fail(`a message of ${message.length} bytes that the SDK did not send, or not in this order`);
    this.#last = index;
    this.#delivered.add(index);
  }

  /** send() came back: every frame was acknowledged, by us. */
  noteAcknowledged(index: number): void {
    if (this.#delivered.has(index)) return;
    if (!this.#givenUp.has(index - 1))
      assert.fail(`we acknowledged message ${index} of the SDK's, which is not delivered`);
    this.spliced++;
  }

  /** send() raised. */
  noteGivenUp(index: number): void {
    if ((this.#calls[index] as Uint8Array).length > MAX_FRAGMENT_LENGTH) this.#givenUp.add(index);
  }

  #splicedFrom(message: Uint8Array): number {
    return this.#calls.findIndex((call, i) => {
      const before = this.#calls[i - 1];
      const at = message.length - call.length;
      if (i <= this.#last || before === undefined || !this.#givenUp.has(i - 1) || at % MAX_FRAGMENT_LENGTH !== 0)
        return false;
      const isSplice =
        Buffer.compare(message.subarray(0, at), before.subarray(0, at)) === 0 &&
        Buffer.compare(message.subarray(at), call) === 0;
      if (isSplice) this.spliced++;
      return isSplice;
    });
  }
}

/** Messages from our application to the SDK's: our acknowledgements are as true as the UTACKs are. */
export class ToSdkOracle {
  readonly #excuses: Excuses;
  readonly #sent: Uint8Array[] = [];
  readonly #delivered = new Set<number>();
  #acknowledged = 0;
  #last = -1;

  constructor(excuses: Excuses) {
    this.#excuses = excuses;
  }

  noteSent(id: number, message: Uint8Array): void {
    assert.equal(id, this.#sent.length, "send() answers ids that count from 0");
    this.#sent.push(message);
  }

  noteDelivered(message: Uint8Array): void {
    const whole = this.#indexOf((sent) => Buffer.compare(sent, message) === 0);
    const index = whole === -1 && this.#excuses.tails ? this.#indexOf((sent) => isTail(sent, message)) : whole;
    if (index === -1)
      assert.fail(`the SDK has a message of ${message.length} bytes that we did not send, or not in this order`);
    this.#last = index;
    this.#delivered.add(index);
  }

  noteAcknowledged(id: number): void {
    assert.equal(id, this.#acknowledged++, "acknowledged out of order");
  }

  /** At the end of all: the UTACKs were true, but for the SDK's own flaws; and our close told of everything else. */
  noteClosed(unknown: readonly number[], unsent: readonly number[]): void {
    const rest = Array.from(this.#sent.keys()).slice(this.#acknowledged);
    assert.deepEqual([...unknown, ...unsent], rest, "the close does not account for every message");
    for (const id of unsent) if (this.#delivered.has(id)) assert.fail(`message ${id} arrived, but is called unsent`);
  }

  /** Acknowledged messages that never reached the SDK's application. */
  lost(): number {
    let lost = 0;
    for (let id = 0; id < this.#acknowledged; id++) if (!this.#delivered.has(id)) lost++;
    if (lost > 0 && !this.#excuses.losesAcknowledged)
      assert.fail(`${lost} acknowledged messages are lost, with no flaw to blame`);
    return lost;
  }

  #indexOf(matches: (sent: Uint8Array) => boolean): number {
    return this.#sent.findIndex((sent, i) => i > this.#last && matches(sent));
  }
}

function isTail(sent: Uint8Array, message: Uint8Array): boolean {
  const at = sent.length - message.length;
  return at > 0 && at % MAX_FRAGMENT_LENGTH === 0 && Buffer.compare(sent.subarray(at), message) === 0;
}
