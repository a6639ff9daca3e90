import { LAST_SEQ, MAX_CONTROL_FRAMES_PER_SECOND } from "../constants.ts";
import type { DatagramEpochs, Epoch } from "../record/datagram-epochs.ts";
import type { OrderMark } from "../record/order-marks.ts";
import { sealedLength, sealFrame } from "../record/protection.ts";
import { CongestionWindow } from "../recovery/congestion.ts";
import { Retransmission } from "../recovery/retransmission.ts";
import type { RttEstimator } from "../recovery/rtt.ts";
import { type InFlight, SendWindow } from "../recovery/send-window.ts";
import { earliest, type Instant } from "../time.ts";
import { FrameType } from "../wire/frame.ts";
import type { Utack } from "../wire/utack.ts";
import { type Departed, OutgoingMessages } from "./outgoing.ts";

/** Between sends of one session frame, at most (spec section 6). */
const MAX_RESEND_MS = 5_000;
/** A session ends with BYE when so few sequence numbers are left: what is on its way still fits. */
const SPENT_SEQ: number = LAST_SEQ - 16;
/**
 * A REKEY that stays unanswered so long gets a fresh PING, not resent itself, beside each further copy: a peer that withholds its UTACK
 * because its own data goes to our former address follows fresh frames only, never copies.
 */
const PROBE_AFTER_SENDS = 3;
/**
 * How far the numbers may run ahead of an unacknowledged frame: beyond 64 it is too old for the peer's window. A message adds up to
 * four to what it may, and control frames need room behind a message for which the peer has none.
 */
const MESSAGE_REACH = 44;
const CONTROL_REACH = 60;
const NOTHING: Uint8Array = new Uint8Array(0);

/** A sealed frame that waits for its UTACK. */
interface Outstanding extends InFlight {
  readonly frame: Uint8Array;
  readonly type: FrameType;
  readonly epoch: Epoch;
  /** Of DATA and DATA_FRAG: whose frame it is. */
  readonly message: Departed | undefined;
}

/** What may be sent when a lane is free. The rest of a message that has begun always may. */
export interface Pumping {
  /** False while keys change hands or the handshake's end is unacknowledged. */
  readonly begin: boolean;
  /** False while only PING and PONG may begin: a REKEY waits for empty lanes, or a PING has to show first that the peer is where we think. */
  readonly bulk: boolean;
  /** BYE follows the last message. */
  readonly closing: boolean;
}

/** What an acknowledgement completed: `through` are messages, in their order. */
export interface Acknowledged {
  readonly type: FrameType;
  readonly through: readonly number[];
}

/** Sends a frame; `again` for a copy. */
export type Transmit = (frame: Uint8Array, again: boolean, now: Instant) => void;

/**
 * The sending half of a datagram session, in two lanes (spec section 6).
 *
 * Messages, REKEY and BYE go one frame at a time, each after the last was acknowledged, which keeps them in order; towards a peer of
 * ours that puts frames into order itself, as many as the congestion window allows (docs/pipelining.md). A PING or PONG does not
 * wait for a message that the peer has no room for, only for the end of its fragments: those must stand on consecutive
 * sequence numbers with nothing between.
 */
export class Lanes {
  readonly messages: OutgoingMessages = new OutgoingMessages();
  readonly #epochs: DatagramEpochs;
  readonly #rtt: RttEstimator;
  readonly #transmit: Transmit;
  readonly #window: SendWindow<Outstanding> = new SendWindow();
  readonly #congestion: CongestionWindow = new CongestionWindow();
  #control: Outstanding | undefined;
  /** The control frame on its way says something about order: until it has arrived nothing may pass it. */
  #marking = false;
  readonly #controlQueue: FrameType[] = [];
  #sends = 0;
  #torn = false;

  constructor(epochs: DatagramEpochs, rtt: RttEstimator, transmit: Transmit) {
    this.#epochs = epochs;
    this.#rtt = rtt;
    this.#transmit = transmit;
  }

  /** True when nothing is on its way and no message is half sent. */
  get idle(): boolean {
    return this.#window.size === 0 && this.#control === undefined && !this.messages.midRun;
  }

  /** True when the sequence numbers come to their end, or one is missing for good: nothing but BYE should follow. */
  get spent(): boolean {
    return this.#torn || this.#epochs.nextSeq >= SPENT_SEQ;
  }

  get timeout(): Instant | undefined {
    return earliest(this.#window.timeout(this.#inFlightLimit), this.#control?.retransmission.resendAt);
  }

  /** The epoch of a frame that is on its way. */
  get epochInUse(): Epoch | undefined {
    return this.#window.oldest?.epoch ?? this.#control?.epoch;
  }

  /** What the next PING should say about order. */
  get markDue(): OrderMark | undefined {
    return this.spent ? undefined : this.#epochs.markDue(this.messages.waiting);
  }

  /** True when messages wait for an empty window, because a PING is to say something about order then. */
  get draining(): boolean {
    return this.#epochs.pipelined && this.markDue !== undefined;
  }

  /** A PING that has not left yet stands for the next as well, and a peer that acknowledges no PONG gets no queue without end. */
  queueControl(type: FrameType): void {
    const waiting = this.#controlQueue.filter((queued) => queued === type).length;
    if (waiting < (type === FrameType.PING ? 1 : MAX_CONTROL_FRAMES_PER_SECOND)) this.#controlQueue.push(type);
  }

  /**
   * The frame on its way that the peer's new address has to acknowledge because no PING may go now: inside a message, behind a REKEY, or
   * (`frozen`) while keys change hands.
   */
  heldUp(frozen: boolean): { readonly frame: Uint8Array; readonly seq: number } | undefined {
    const { oldest } = this.#window;
    const insideMessage = !this.#epochs.pipelined && this.messages.midFragments;
    return frozen || insideMessage || oldest?.type === FrameType.REKEY ? (this.#control ?? oldest) : undefined;
  }

  /** Sends the control frame on its way again, or puts a PING in front, for the peer's new address to acknowledge; true for a PING. */
  probe(now: Instant): boolean {
    if (this.#control !== undefined) this.#resend(this.#control, now);
    if (this.#control?.type === FrameType.PING || this.#controlQueue.includes(FrameType.PING)) return false;
    this.#controlQueue.unshift(FrameType.PING);
    return true;
  }

  sendRekey(salt: Uint8Array, now: Instant): void {
    this.#window.add(this.#seal(FrameType.REKEY, salt, now));
  }

  /** Sends a BYE past everything that waits, and never again. */
  sayBye(now: Instant): void {
    this.#seal(FrameType.BYE, NOTHING, now);
  }

  /** Sends our REKEY no more: the peer has shown its keys, which acknowledges it, or has won a tie. Other frames stay. */
  endRekey(): void {
    if (this.#window.oldest?.type === FrameType.REKEY) this.#window.clear();
  }

  /** Sends what may go now. */
  pump({ begin, bulk, closing }: Pumping, now: Instant): void {
    if (this.#finishMessage(now) || !begin || this.#marking) return;
    if (this.#window.oldest?.type === FrameType.BYE || this.#startMark(now)) return;
    this.#startControl(now);
    if (!bulk) return;
    if (closing || !this.draining) this.#startMessages(now);
    if (closing && this.#window.size === 0 && (this.messages.isEmpty || this.spent) && this.#within(MESSAGE_REACH)) {
      this.#window.add(this.#seal(FrameType.BYE, NOTHING, now));
    }
  }

  /** Sends again what was not acknowledged in time. */
  resend(now: Instant): void {
    const due = this.#window.due(now, this.#inFlightLimit);
    if (due[0] !== undefined && due[0] === this.#window.oldest) this.#congestion.onTimeout();
    for (const outstanding of due) this.#resend(outstanding, now);
    if (this.#control?.retransmission.isDue(now)) this.#resend(this.#control, now);
  }

  /** Sends again at once what is on its way: the path is a new one, or has just shown that it carries. */
  resendNow(now: Instant): void {
    for (const outstanding of this.#window.first(this.#inFlightLimit)) this.#resend(outstanding, now);
    if (this.#control !== undefined) this.#resend(this.#control, now);
  }

  /** Matches a UTACK; undefined when it is forged or acknowledges nothing that waits. */
  acknowledge(utack: Utack & { readonly mac: Uint8Array }, now: Instant): Acknowledged | undefined {
    const { seq, type } = utack;
    const outstanding = this.#control?.seq === seq ? this.#control : this.#window.find(seq);
    if (outstanding?.type !== type || !this.#epochs.verifies(utack, outstanding.epoch)) return undefined;
    const roundTripMs = outstanding.retransmission.roundTrip(now);
    if (roundTripMs !== undefined) this.#rtt.sample(roundTripMs);
    outstanding.epoch.heard = true;
    if (outstanding === this.#control) {
      this.#control = undefined;
      this.#marking = false;
    } else this.#onArrived(outstanding, now);
    return { type, through: this.messages.takeThrough(this.#barrier) };
  }

  #onArrived(arrived: Outstanding, now: Instant): void {
    for (const lost of this.#window.remove(arrived)) this.#mendLoss(lost, now);
    if (this.#epochs.pipelined) this.#congestion.onAcknowledged();
    if (arrived.message !== undefined) arrived.message.unacknowledged--;
  }

  /** A peer that was told that no number is missing gives nothing on before a control frame that it lacks. */
  get #barrier(): number {
    const control = this.#control;
    return control?.epoch.said === undefined ? Number.POSITIVE_INFINITY : control.seq;
  }

  get #inFlightLimit(): number {
    return this.#epochs.pipelined ? this.#congestion.frames : 1;
  }

  /** True when the numbers may run on, as far as the peer's window is concerned. */
  #within(reach: number): boolean {
    const oldest = Math.min(this.#window.oldest?.seq ?? LAST_SEQ, this.#control?.seq ?? LAST_SEQ);
    return this.#epochs.nextSeq - oldest < reach;
  }

  /** Goes on with a message of several frames; true while nothing else may go. */
  #finishMessage(now: Instant): boolean {
    if (this.#epochs.pipelined) {
      while (this.messages.midRun) this.#sendFragment(now);
      return false;
    }
    if (!this.messages.midFragments) return false;
    if (this.#window.size === 0) this.#sendFragment(now);
    return true;
  }

  /** Lets a PING that waits say what is due about order; true when it does, and nothing else may go with it. */
  #startMark(now: Instant): boolean {
    const waits = this.#controlQueue.indexOf(FrameType.PING);
    const mark = waits !== -1 && this.idle ? this.markDue : undefined;
    if (mark === undefined) return false;
    this.#controlQueue.splice(waits, 1);
    this.#epochs.say(mark);
    this.#marking = true;
    this.#control = this.#seal(FrameType.PING, NOTHING, now);
    return true;
  }

  #startControl(now: Instant): void {
    if (this.#control !== undefined || this.spent || !this.#within(CONTROL_REACH)) return;
    const type = this.#controlQueue.shift();
    if (type !== undefined) this.#control = this.#seal(type, NOTHING, now);
  }

  #startMessages(now: Instant): void {
    const { messages } = this;
    while (!messages.isEmpty && !this.spent && this.#window.size < this.#inFlightLimit && this.#within(MESSAGE_REACH)) {
      // The field's receivers drop a half-assembled message when a control frame arrives, however old its number is.
      if (!this.#epochs.pipelined && messages.nextIsFragmented && this.#control !== undefined) return;
      do this.#sendFragment(now);
      while (this.#epochs.pipelined && messages.midRun);
    }
  }

  #sendFragment(now: Instant): void {
    const { type, plaintext, message } = this.messages.take();
    const outstanding = this.#seal(type, plaintext, now, message);
    message.lastSeq = outstanding.seq;
    this.#window.add(outstanding);
  }

  #mendLoss(lost: Outstanding, now: Instant): void {
    this.#congestion.onLoss(lost.seq, this.#epochs.nextSeq);
    this.#resend(lost, now);
  }

  #resend(outstanding: Outstanding, now: Instant): void {
    outstanding.retransmission.noteResend(now, this.#rtt, MAX_RESEND_MS);
    outstanding.sentAs = this.#sends++;
    outstanding.overtaken = 0;
    this.#transmit(outstanding.frame, true, now);
    if (outstanding.type === FrameType.REKEY && outstanding.retransmission.sends > PROBE_AFTER_SENDS) {
      this.#seal(FrameType.PING, NOTHING, now);
    }
  }

  #seal(type: FrameType, plaintext: Uint8Array, now: Instant, message?: Departed): Outstanding {
    const frame = new Uint8Array(sealedLength(plaintext.length));
    const seq = this.#epochs.takeSeq();
    const epoch = this.#epochs.transmit;
    try {
      sealFrame(frame, epoch.keys.transmit, this.#epochs.sessionId, type, seq, plaintext);
    } catch (error) {
      // The number is spent (P5), and a peer that was told that none will be missing would wait for it.
      this.#torn = epoch.said !== undefined;
      throw error;
    }
    const retransmission = new Retransmission(now, this.#rtt);
    this.#transmit(frame, false, now);
    return { frame, type, seq, epoch, retransmission, message, sentAs: this.#sends++, overtaken: 0 };
  }
}
