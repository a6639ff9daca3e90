import { LAST_SEQ, MAX_CONTROL_FRAMES_PER_SECOND, REPLAY_WINDOW_SIZE } from "../constants.ts";
import type { DatagramEpochs, Epoch } from "../record/datagram-epochs.ts";
import { sealedLength, sealFrame } from "../record/protection.ts";
import { Retransmission } from "../recovery/retransmission.ts";
import type { RttEstimator } from "../recovery/rtt.ts";
import { earliest, type Instant } from "../time.ts";
import { FrameType } from "../wire/frame.ts";
import type { Utack } from "../wire/utack.ts";
import { OutgoingMessages } from "./outgoing.ts";

/** Between sends of one session frame, at most (spec section 6). */
const MAX_RESEND_MS = 5_000;
/** A session ends with BYE when so few sequence numbers are left: what is on its way still fits. */
const SPENT_SEQ: number = LAST_SEQ - 16;
/**
 * A REKEY that stays unanswered so long gets a fresh PING, not resent itself, beside each further copy: a peer that withholds its UTACK
 * because its own data goes to our former address follows fresh frames only, never copies.
 */
const PROBE_AFTER_SENDS = 3;
/** Frames of one lane that may pass an unacknowledged one of the other: further on, its number is too old for the peer's window. */
const MAX_PASSING: number = REPLAY_WINDOW_SIZE / 2;
const NOTHING: Uint8Array = new Uint8Array(0);

/** A sealed frame that waits for its UTACK. */
interface Outstanding {
  readonly frame: Uint8Array;
  readonly type: FrameType;
  readonly seq: number;
  readonly epoch: Epoch;
  readonly retransmission: Retransmission;
}

/** What may be sent when a lane is free. The rest of a message that has begun always may. */
export interface Pumping {
  /** False while keys change hands or the handshake's end is unacknowledged. */
  readonly begin: boolean;
  /** BYE follows the last message. */
  readonly closing: boolean;
}

/** What an acknowledgement completed. */
export type Acknowledged =
  | { readonly what: "message"; readonly id: number }
  | { readonly what: "fragment" | "control" | "rekey" | "bye" };

/**
 * The sending half of a datagram session: stop and wait in two lanes (spec section 6).
 *
 * Messages, REKEY and BYE go one frame at a time, each after the last was acknowledged, which keeps them in order. A PING or PONG
 * does not wait for a message that the peer has no room for, only for the end of its fragments: those must stand on consecutive
 * sequence numbers with nothing between.
 */
export class Lanes {
  readonly messages: OutgoingMessages = new OutgoingMessages();
  readonly #epochs: DatagramEpochs;
  readonly #rtt: RttEstimator;
  readonly #transmit: (frame: Uint8Array, again: boolean, now: Instant) => void;
  #message: Outstanding | undefined;
  #control: Outstanding | undefined;
  #controlQueue: FrameType[] = [];

  constructor(
    epochs: DatagramEpochs,
    rtt: RttEstimator,
    transmit: (frame: Uint8Array, again: boolean, now: Instant) => void,
  ) {
    this.#epochs = epochs;
    this.#rtt = rtt;
    this.#transmit = transmit;
  }

  /** True when nothing is on its way and no message is half sent. */
  get idle(): boolean {
    return this.#message === undefined && this.#control === undefined && !this.messages.midMessage;
  }

  /** True when the sequence numbers come to their end: nothing but BYE should follow. */
  get spent(): boolean {
    return this.#epochs.nextSeq >= SPENT_SEQ;
  }

  get timeout(): Instant | undefined {
    return earliest(this.#message?.retransmission.resendAt, this.#control?.retransmission.resendAt);
  }

  /** The epoch of a frame that is on its way. */
  get epochInUse(): Epoch | undefined {
    return this.#message?.epoch ?? this.#control?.epoch;
  }

  /** A PING that has not left yet stands for the next as well, and a peer that acknowledges no PONG gets no queue without end. */
  queueControl(type: FrameType): void {
    const waiting = this.#controlQueue.filter((queued) => queued === type).length;
    if (waiting < (type === FrameType.PING ? 1 : MAX_CONTROL_FRAMES_PER_SECOND)) this.#controlQueue.push(type);
  }

  sendRekey(salt: Uint8Array, now: Instant): void {
    this.#message = this.#seal(FrameType.REKEY, salt, now);
  }

  /** Sends a BYE past everything that waits, and never again. */
  sayBye(now: Instant): void {
    this.#seal(FrameType.BYE, NOTHING, now);
  }

  /** Sends our REKEY no more: the peer has shown its keys, which acknowledges it, or has won a tie. Other frames stay. */
  endRekey(): void {
    if (this.#message?.type === FrameType.REKEY) this.#message = undefined;
  }

  /** Sends what may go now. */
  pump({ begin, closing }: Pumping, now: Instant): void {
    if (this.messages.midFragments) {
      if (this.#message === undefined) this.#sendFragment(now);
      return;
    }
    if (!begin || this.#message?.type === FrameType.BYE) return;
    if (this.#control === undefined && !this.spent && this.#mayPass(this.#message)) {
      const type = this.#controlQueue.shift();
      if (type !== undefined) this.#control = this.#seal(type, NOTHING, now);
    }
    if (this.#message !== undefined || !this.#mayPass(this.#control)) return;
    // The field's receivers drop a half-assembled message when a control frame arrives, however old its number is.
    if (this.messages.nextIsFragmented && this.#control !== undefined) return;
    if (!this.messages.isEmpty && !this.spent) this.#sendFragment(now);
    else if (closing) this.#message = this.#seal(FrameType.BYE, NOTHING, now);
  }

  /** Sends again what was not acknowledged in time. */
  resend(now: Instant): void {
    for (const outstanding of [this.#message, this.#control]) {
      if (outstanding === undefined || !outstanding.retransmission.isDue(now)) continue;
      outstanding.retransmission.noteResend(now, this.#rtt, MAX_RESEND_MS);
      this.#transmit(outstanding.frame, true, now);
      if (outstanding.type === FrameType.REKEY && outstanding.retransmission.sends > PROBE_AFTER_SENDS) {
        this.#seal(FrameType.PING, NOTHING, now);
      }
    }
  }

  /** Matches a UTACK; undefined when it is forged or acknowledges nothing that waits. */
  acknowledge(utack: Utack & { readonly mac: Uint8Array }, now: Instant): Acknowledged | undefined {
    const outstanding = [this.#message, this.#control].find(
      (waiting) => waiting?.seq === utack.seq && waiting.type === utack.type,
    );
    if (outstanding === undefined || !this.#epochs.verifies(utack, outstanding.epoch)) return undefined;
    const roundTripMs = outstanding.retransmission.roundTrip(now);
    if (roundTripMs !== undefined) this.#rtt.sample(roundTripMs);
    if (outstanding === this.#control) {
      this.#control = undefined;
      return { what: "control" };
    }
    return this.#completeMessage(outstanding.type);
  }

  #mayPass(waiting: Outstanding | undefined): boolean {
    return waiting === undefined || this.#epochs.nextSeq - waiting.seq < MAX_PASSING;
  }

  #sendFragment(now: Instant): void {
    const { type, plaintext } = this.messages.take();
    this.#message = this.#seal(type, plaintext, now);
  }

  #completeMessage(type: FrameType): Acknowledged {
    this.#message = undefined;
    if (type === FrameType.REKEY) return { what: "rekey" };
    if (type === FrameType.BYE) return { what: "bye" };
    const id = this.messages.acknowledge();
    return id === undefined ? { what: "fragment" } : { what: "message", id };
  }

  #seal(type: FrameType, plaintext: Uint8Array, now: Instant): Outstanding {
    const frame = new Uint8Array(sealedLength(plaintext.length));
    const seq = this.#epochs.takeSeq();
    const epoch = this.#epochs.transmit;
    sealFrame(frame, epoch.keys.transmit, this.#epochs.sessionId, type, seq, plaintext);
    this.#transmit(frame, false, now);
    return { frame, type, seq, epoch, retransmission: new Retransmission(now, this.#rtt) };
  }
}
