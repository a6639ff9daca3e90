import { REKEY_SALT_LENGTH } from "../constants.ts";
import { rekeyInfo } from "../crypto/key-schedule.ts";
import type { CryptoProvider, RecordKey, Side, TrafficKeys } from "../crypto/provider.ts";
import type { Violation } from "../errors.ts";
import type { Frame } from "../wire/frame.ts";
import { openFrame } from "./protection.ts";

/** Keys of one generation and the in-order counters that belong to them. */
interface Epoch {
  readonly keys: TrafficKeys;
  nextTransmit: number;
  nextReceive: number;
}

/**
 * The epochs of a session on an in-order transport (spec section 5).
 *
 * Whoever initiates a REKEY sends under the new epoch at once, but the peer's frames that were in flight still come under the
 * old one, so the old epoch stays readable until the first frame under the new. A responder needs no such time: behind a REKEY
 * nothing under the old keys can follow. When both initiate at once the client's REKEY wins (threats page, R6): the server gives
 * its own up, and the client keeps what the server already sent under the loser readable.
 */
export class StreamEpochs {
  readonly #crypto: CryptoProvider;
  readonly #side: Side;
  readonly #sessionId: Uint8Array;
  #transmit: Epoch;
  /** Readable epochs in the order in which the peer moves through them; the last is the newest. */
  #readable: Epoch[];

  /** `firstSeq`: where both directions of the first epoch begin to count; 0 but for tests. */
  constructor(crypto: CryptoProvider, side: Side, sessionId: Uint8Array, keys: TrafficKeys, firstSeq = 0) {
    this.#crypto = crypto;
    this.#side = side;
    this.#sessionId = sessionId;
    this.#transmit = newEpoch(keys, firstSeq);
    this.#readable = [this.#transmit];
  }

  get sessionId(): Uint8Array {
    return this.#sessionId;
  }

  get transmitKeys(): TrafficKeys {
    return this.#transmit.keys;
  }

  /** False while the peer has not yet shown that it follows our last REKEY. */
  get settled(): boolean {
    return this.#readable.length === 1;
  }

  /** The next sequence number to send, not yet taken. */
  get nextSeq(): number {
    return this.#transmit.nextTransmit;
  }

  /** Takes a sequence number: it is spent whatever becomes of its frame (P5). */
  takeSeq(): number {
    return this.#transmit.nextTransmit++;
  }

  /** True when openRun() is worth a try: only one epoch is readable, and its key takes several frames at a time. */
  get opensRuns(): boolean {
    return this.settled && this.#newestReadable.keys.receive.openRun !== undefined;
  }

  /** Opens the good data frames that bytes[start..] begins with, their plaintexts back to back into `out`; answers how many: see RecordKey. Only while `opensRuns`. */
  openRun(bytes: Uint8Array, start: number, out: Uint8Array): number {
    const epoch = this.#newestReadable;
    const key = epoch.keys.receive as Required<RecordKey>;
    const count = key.openRun(bytes, start, bytes.length, epoch.nextReceive, out);
    epoch.nextReceive += count;
    return count;
  }

  /** The next number of the newest epoch that is readable. */
  get nextReceive(): number {
    return this.#newestReadable.nextReceive;
  }

  get #newestReadable(): Epoch {
    return this.#readable.at(-1) as Epoch;
  }

  /**
   * Opens the next frame into `out`: under the epoch in use, or the first one under a later epoch, which retires those before it.
   * Answers `out`, or what is wrong.
   */
  open(frame: Frame, out?: Uint8Array): Uint8Array | Violation {
    let violation: Violation = "unexpected-sequence";
    for (let i = 0; i < this.#readable.length; i++) {
      const epoch = this.#readable[i] as Epoch;
      if (frame.seq !== epoch.nextReceive) continue;
      const plaintext = openFrame(frame, epoch.keys.receive, out);
      if (plaintext === undefined) {
        violation = "bad-tag";
        continue;
      }
      epoch.nextReceive++;
      if (i > 0) for (const old of this.#readable.splice(0, i)) old.keys.wipe();
      return plaintext;
    }
    return violation;
  }

  /** Begins an epoch of our own after the REKEY frame with this salt was sealed; the epochs must be settled. */
  initiate(salt: Uint8Array): void {
    const next = newEpoch(this.#transmit.keys.next("us", salt, rekeyInfo(this.#sessionId)));
    this.#transmit = next;
    this.#readable.push(next);
  }

  /** Follows the peer's REKEY, which open() has just opened. Answers whether we now send under its epoch. */
  follow(salt: Uint8Array): boolean {
    const base = this.#readable[0] as Epoch;
    const next = newEpoch(base.keys.next("peer", salt, rekeyInfo(this.#sessionId)));
    base.keys.wipe();
    if (!this.settled && this.#side === "client") {
      this.#readable[0] = next;
      return false;
    }
    for (const abandoned of this.#readable.slice(1)) abandoned.keys.wipe();
    this.#readable = [next];
    this.#transmit = next;
    return true;
  }

  /** A fresh salt for our own REKEY. */
  drawSalt(): Uint8Array {
    const salt = new Uint8Array(REKEY_SALT_LENGTH);
    this.#crypto.randomFill(salt);
    return salt;
  }

  wipe(): void {
    for (const epoch of this.#readable) epoch.keys.wipe();
  }
}

function newEpoch(keys: TrafficKeys, firstSeq = 0): Epoch {
  return { keys, nextTransmit: firstSeq, nextReceive: firstSeq };
}
