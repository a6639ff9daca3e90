import { REKEY_SALT_LENGTH, REPLAY_WINDOW_SIZE } from "../constants.ts";
import { constantTimeEqual } from "../crypto/equal.ts";
import { rekeyInfo } from "../crypto/key-schedule.ts";
import type { CryptoProvider, Side, TrafficKeys } from "../crypto/provider.ts";
import type { Violation } from "../errors.ts";
import { addMs, type Instant } from "../time.ts";
import type { Frame, FrameType } from "../wire/frame.ts";
import { encodeSealedUtack, type Utack } from "../wire/utack.ts";
import { markedSeq, markIn, type OrderMark } from "./order-marks.ts";
import { openFrame } from "./protection.ts";
import { ReceiveOrder } from "./receive-order.ts";
import { ReplayWindow } from "./replay-window.ts";

/** A frame of a message, opened, until those before it have come. */
export interface EarlyFrame {
  readonly type: FrameType;
  readonly seq: number;
  readonly plaintext: Uint8Array;
}

/** Keys of one generation, the replay window that belongs to them, and what the two ends have said about order under them. */
export interface Epoch {
  readonly keys: TrafficKeys;
  readonly window: ReplayWindow;
  /** Set once the peer has said that it leaves no number out. */
  order: ReceiveOrder<EarlyFrame> | undefined;
  /** The peer has said that it puts our frames into order. */
  peerOrders: boolean;
  /** What we have said last. */
  said: OrderMark | undefined;
  /** The peer has acknowledged a frame of ours: so it has a number to measure a jump from. */
  heard: boolean;
}

export interface Opened {
  readonly plaintext: Uint8Array;
  readonly epoch: Epoch;
  /** False for an authentic duplicate: acknowledged again, otherwise without effect. */
  readonly fresh: boolean;
}

/** Our REKEY, until the peer has shown that it follows. */
interface OwnRekey {
  readonly base: Epoch;
  readonly next: Epoch;
  acknowledged: boolean;
  /** The peer's REKEY of the same moment came, and lost: it has no second one. */
  tied: boolean;
}

/** What a peer's REKEY means to us. */
export type Followed =
  /** We move to its epoch: at once after a lost tie, else when hold ends. */
  | "follow"
  /** Both rekeyed at once and ours wins: its epoch is only kept readable. */
  | "won"
  /** Of an epoch that was left behind. */
  | "stale";

/** Messages that must wait before we offer to keep an order: below it stop and wait is as good, and leaves no gap. */
const OFFER_BACKLOG = 16;

/** Old, loser's, winner's and the one after: no honest peer needs more at a time. */
const MAX_READABLE = 4;

/**
 * The epochs of a session on datagrams (spec section 5; the rules R1 to R6 of the threats page, which were model-checked).
 *
 * Old epochs stay readable until the peer has shown a newer one and has been quiet about the old for a while (R1). Sequence
 * numbers continue over a rekey (R5): the key is new, so no nonce repeats, and the field's transports drop numbers that
 * go back. After the peer's REKEY nothing is sent until it shows its new keys, or stays quiet for long enough (R4).
 */
export class DatagramEpochs {
  readonly sessionId: Uint8Array;
  readonly #crypto: CryptoProvider;
  readonly #side: Side;
  #transmit: Epoch;
  /** Oldest first. */
  #readable: Epoch[];
  #nextSeq: number;
  #own: OwnRekey | undefined;
  /** The peer's epoch that we send under once the hold ends. */
  #held: { readonly next: Epoch; until: Instant | undefined; quietMs: number } | undefined;
  #retireAt: Instant | undefined;
  #peerIsOurs = false;
  #asking = false;

  constructor(crypto: CryptoProvider, side: Side, sessionId: Uint8Array, keys: TrafficKeys, firstSeq: number) {
    this.#crypto = crypto;
    this.#side = side;
    this.sessionId = sessionId;
    this.#transmit = newEpoch(keys);
    this.#readable = [this.#transmit];
    this.#nextSeq = firstSeq;
  }

  get transmit(): Epoch {
    return this.#transmit;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Takes a sequence number: it is spent whatever becomes of its frame (P5). */
  takeSeq(): number {
    return this.#nextSeq++;
  }

  /** True when several frames may be in flight: we leave no number out, and the peer puts them into order. */
  get pipelined(): boolean {
    return this.#transmit.said !== undefined && this.#transmit.peerOrders;
  }

  /**
   * What is to be said about order by the next frame, which must then be alone on its way. An offer when so many messages wait; an
   * answer as soon as the peer has offered, or answered.
   */
  markDue(waiting: number): OrderMark | undefined {
    const { order, said, heard } = this.#transmit;
    if (order !== undefined) return said === "answer" ? undefined : "answer";
    return said === undefined && heard && (this.#asking || waiting >= OFFER_BACKLOG) ? "offer" : undefined;
  }

  /** True once the peer has said something about order, in any epoch: only one of ours does. */
  get peerIsOurs(): boolean {
    return this.#peerIsOurs;
  }

  /** Has the next PING make an offer, whether or not messages wait, to find out whose the peer is; true when one is still to be sent. */
  ask(): boolean {
    this.#asking = true;
    return this.#transmit.said === undefined;
  }

  /** Moves on to the number that says `mark`; nothing when the space has no room for it any more. */
  say(mark: OrderMark): void {
    this.#transmit.said = mark;
    this.#nextSeq = markedSeq(mark, this.#nextSeq, this.#transmit.keys.transmit) ?? this.#nextSeq;
  }

  /** What a fresh, authentic PING says about order. */
  markIn({ epoch }: Opened, seq: number): OrderMark | undefined {
    // The first number of an epoch is a jump from nowhere, unless we asked for it.
    if (epoch.window.newest < 0 && epoch.said === undefined) return undefined;
    return markIn(seq, epoch.window, epoch.keys.receive);
  }

  /** Learns what it says, now that it has its place. */
  hear({ epoch }: Opened, seq: number, mark: OrderMark): void {
    if (epoch.order === undefined) epoch.order = new ReceiveOrder(seq);
    else epoch.order.restart(seq);
    if (mark === "answer") epoch.peerOrders = true;
    this.#peerIsOurs = true;
  }

  /** True while nothing new may be sent: our REKEY is unacknowledged, or the peer's is not settled (R4). */
  get frozen(): boolean {
    return this.#held !== undefined || this.#own?.acknowledged === false;
  }

  /** False while the peer has not shown that it follows our last REKEY. */
  get settled(): boolean {
    return this.#own === undefined;
  }

  /** The highest authentic sequence number of the newest epoch that has one: what a frame must exceed to move the session. */
  isNewest(epoch: Epoch, seq: number): boolean {
    if (seq < epoch.window.newest) return false;
    const later = this.#readable.slice(this.#readable.indexOf(epoch) + 1);
    return later.every(({ window }) => window.newest < 0);
  }

  /** Opens a frame under any readable epoch, newest first. Nothing changes before accept(). */
  open(frame: Frame): Opened | Violation {
    let violation: Violation = "replayed";
    for (let i = this.#readable.length - 1; i >= 0; i--) {
      const epoch = this.#readable[i] as Epoch;
      const freshness = epoch.window.check(frame.seq);
      if (freshness === "too-old") continue;
      const plaintext = openFrame(frame, epoch.keys.receive);
      if (plaintext !== undefined) return { plaintext, epoch, fresh: freshness === "fresh" };
      violation = "bad-tag";
    }
    return violation;
  }

  /**
   * Takes a fresh frame that has its place. A frame under our new epoch acknowledges our REKEY (R3) and one under the peer's ends the
   * hold: answers which of the two it did. `quietMs` is how long an old epoch must be silent to be forgotten.
   */
  accept({ epoch }: Opened, seq: number, now: Instant, quietMs: number): "ours" | "theirs" | undefined {
    epoch.window.mark(seq);
    if (this.#readable.length > 1 && (this.#retireAt === undefined || epoch !== this.#readable.at(-1))) {
      this.#retireAt = addMs(now, quietMs);
    }
    if (epoch === this.#own?.next) {
      const first = !this.#own.acknowledged;
      this.#own = undefined;
      if (!first) return undefined;
      this.#sendUnder(epoch);
      return "ours";
    }
    if (epoch === this.#held?.next) {
      this.#held = undefined;
      this.#sendUnder(epoch);
      return "theirs";
    }
    return undefined;
  }

  /** UTACKs for a frame: under its own key, and for a duplicate of another epoch under every key of the transition (R2). */
  utacks({ epoch, fresh }: Opened, type: number, seq: number): Uint8Array[] {
    // Below 64 an acknowledgement under a newer key could be taken for that of a later frame with the same number.
    const all = !fresh && seq >= REPLAY_WINDOW_SIZE;
    const under = all ? [epoch, ...this.#readable.filter((other) => other !== epoch)] : [epoch];
    return under.map(({ keys }) => encodeSealedUtack(type, seq, (message) => keys.receive.acknowledgementMac(message)));
  }

  /** True when the MAC was made with the key that sealed our frame, or with a newer one: never with an older (R3). */
  verifies(utack: Utack & { readonly mac: Uint8Array }, sealedUnder: Epoch): boolean {
    const live = this.#readable.slice(this.#readable.indexOf(sealedUnder));
    return live.some(({ keys }) => constantTimeEqual(keys.transmit.acknowledgementMac(utack.message), utack.mac));
  }

  /** A fresh salt for our own REKEY. */
  drawSalt(): Uint8Array {
    const salt = new Uint8Array(REKEY_SALT_LENGTH);
    this.#crypto.randomFill(salt);
    return salt;
  }

  /** Makes the epoch of our REKEY readable, after its frame was sealed; we send under it once it was acknowledged. */
  initiate(salt: Uint8Array): void {
    const base = this.#transmit;
    const next = newEpoch(base.keys.next("us", salt, rekeyInfo(this.sessionId)));
    this.#own = { base, next, acknowledged: false, tied: false };
    this.#addReadable(next);
  }

  /** Our REKEY, which is still on its way, was acknowledged by its UTACK. */
  ownAcknowledged(): void {
    const own = this.#own as OwnRekey;
    own.acknowledged = true;
    this.#sendUnder(own.next);
  }

  /** Learns the epoch of the peer's REKEY, which came under `epoch`. The client wins a tie (R6). */
  follow(epoch: Epoch, salt: Uint8Array): Followed {
    const tie = this.#own?.base === epoch ? this.#own : undefined;
    const behind = tie === undefined ? epoch !== this.#transmit || this.#held !== undefined : tie.tied;
    if (behind) return "stale";
    const next = newEpoch(epoch.keys.next("peer", salt, rekeyInfo(this.sessionId)));
    if (tie !== undefined && this.#side === "client") {
      tie.tied = true;
      this.#addReadable(next, this.#readable.indexOf(epoch) + 1);
      return "won";
    }
    this.#addReadable(next);
    this.#own = undefined;
    this.#held = { next, until: undefined, quietMs: 0 };
    return "follow";
  }

  /** Starts or restarts the quiet time after which we send under the peer's epoch unasked; it doubles with each copy of its REKEY. */
  startHold(now: Instant, quietMs: number): void {
    if (this.#held === undefined) return;
    this.#held.quietMs = Math.max(quietMs, Math.min(MAX_QUIET_MS, this.#held.quietMs * 2));
    this.#held.until = addMs(now, this.#held.quietMs);
  }

  /** When a hold or an old epoch's time ends. */
  get timeout(): Instant | undefined {
    return this.#held?.until ?? this.#retireAt;
  }

  /** Does what is due; true when a hold ended. `oldest`: the epoch of a frame that still waits for its acknowledgement. */
  handleTimeout(now: Instant, oldest: Epoch | undefined, quietMs: number): boolean {
    if (this.#held?.until !== undefined) {
      if (now < this.#held.until) return false;
      this.#sendUnder(this.#held.next);
      this.#held = undefined;
      return true;
    }
    if (this.#retireAt !== undefined && now >= this.#retireAt) this.#retire(now, oldest, quietMs);
    return false;
  }

  wipe(): void {
    for (const { keys } of this.#readable) keys.wipe();
  }

  /** Forgets every epoch before the newest that the peer has shown, unless something still waits for it. */
  #retire(now: Instant, oldest: Epoch | undefined, quietMs: number): void {
    const proven = this.#readable.findLastIndex(({ window }) => window.newest >= 0);
    const needed = [this.#transmit, this.#own?.base, oldest].map((epoch) =>
      epoch === undefined ? proven : this.#readable.indexOf(epoch),
    );
    const keepFrom = Math.min(proven, ...needed);
    for (const { keys } of this.#readable.splice(0, keepFrom)) keys.wipe();
    this.#retireAt = keepFrom < proven ? addMs(now, quietMs) : undefined;
  }

  #sendUnder(epoch: Epoch): void {
    this.#transmit = epoch;
  }

  #addReadable(epoch: Epoch, at: number = this.#readable.length): void {
    this.#readable.splice(at, 0, epoch);
    if (this.#readable.length > MAX_READABLE) this.#readable.shift()?.keys.wipe();
  }
}

/** The field resends a REKEY after at most 5 s (spec section 6). */
const MAX_QUIET_MS = 10_000;

function newEpoch(keys: TrafficKeys): Epoch {
  return {
    keys,
    window: new ReplayWindow(),
    order: undefined,
    peerOrders: false,
    said: undefined,
    heard: false,
  };
}
