import { UTACK_LENGTH } from "../constants.ts";
import type { Side } from "../crypto/provider.ts";
import { DatagramEpochs, type Opened } from "../record/datagram-epochs.ts";
import { nonceMatches, plaintextLength } from "../record/protection.ts";
import { addMs, earliest, type Instant } from "../time.ts";
import { decodeFrame, type Frame, FrameType, isSessionType } from "../wire/frame.ts";
import { decodeUtack, looksLikeUtack, type Utack } from "../wire/utack.ts";
import { declines } from "./acceptance.ts";
import type { ConnectionConfig } from "./config.ts";
import { DatagramChannel } from "./datagram-channel.ts";
import type { Address, Agreement, CloseReason, Undelivered } from "./events.ts";
import { HeldUtacks } from "./held-utacks.ts";
import { IncomingMessages } from "./incoming.ts";
import type { KeyLimit } from "./key-life.ts";
import { Lanes } from "./lanes.ts";

/** How long close() waits for what is queued and for the acknowledgement of BYE. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Shortest quiet time of a rekey (R1, R4): two retransmission periods of a peer with the field's first timeout. */
const MIN_QUIET_MS = 1_000;

/** What a datagram connection is made with beside its role's configuration. */
export interface DatagramOptions {
  readonly peer: Address;
  /** Both directions count from here. Only tests of the end of the sequence space change it. */
  readonly firstSeq?: number | undefined;
}

/** What exists once the handshake is done. */
interface EstablishedSession {
  readonly epochs: DatagramEpochs;
  readonly lanes: Lanes;
}

/** A peer's REKEY that is not acknowledged yet. */
interface OwedRekey {
  readonly opened: Opened;
  readonly seq: number;
  readonly to: Address;
}

/**
 * A connection over datagrams: UDP. Anything invalid is dropped and counted, never fatal; every frame is acknowledged, but only once
 * its tag verified and it has its place (spec sections 4 and 6). The roles differ in their handshake: datagram-client.ts,
 * datagram-server.ts. What is sent, and when, is decided in lanes.ts.
 */
export abstract class DatagramConnection extends DatagramChannel {
  readonly #side: Side;
  readonly #firstSeq: number;
  readonly #incoming: IncomingMessages = new IncomingMessages();
  /** Absent when what has its place is acknowledged at once. */
  readonly #held: HeldUtacks | undefined;
  #session: EstablishedSession | undefined;
  /** The peer's REKEY, whose UTACK waits until our own frames are through (R4). */
  #owed: OwedRekey | undefined;
  #closeAt: Instant | undefined;
  #expiredBy: KeyLimit | undefined;
  #paused = false;

  protected constructor(side: Side, config: ConnectionConfig, options: DatagramOptions, now: Instant) {
    super(config, now);
    this.#side = side;
    this.#firstSeq = options.firstSeq ?? 0;
    this.#held = config.acknowledge === "accepted" ? new HeldUtacks() : undefined;
  }

  /** Takes one datagram as it came; nothing of it is kept. */
  handleDatagram(datagram: Uint8Array, from: Address, now: Instant): void {
    if (looksLikeUtack(datagram)) {
      const utack = decodeUtack(datagram);
      if (utack === undefined || !this.handleUtack(utack, now)) this.drop("unmatched-utack");
      return;
    }
    const frame = decodeFrame(datagram);
    if (typeof frame === "string") this.drop(frame);
    else this.handleFrame(frame, from, now);
  }

  /** Takes a frame that was decoded already: a server decodes before it knows whose it is. */
  handleFrame(frame: Frame, from: Address, now: Instant): void {
    if (this.state === "closed") return;
    this.counters.framesReceived++;
    this.counters.bytesReceived += frame.bytes.length;
    if (frame.type === FrameType.ERROR) this.drop("error-frame");
    else if (!isSessionType(frame.type)) this.handleHandshakeFrame(frame, from, now);
    else if (this.#session === undefined) this.drop("unexpected-type");
    else this.#handleSessionFrame(frame, this.#session, from, now);
  }

  /** Takes a UTACK; false when it is forged or acknowledges nothing of this connection. */
  handleUtack(utack: Utack, now: Instant): boolean {
    const { mac } = utack;
    if (mac === undefined) return this.handleHandshakeUtack(utack, now);
    const acknowledged = this.#session?.lanes.acknowledge({ ...utack, mac }, now);
    if (acknowledged === undefined) return false;
    this.#noteAuthentic(this.address, UTACK_LENGTH + mac.length, now);
    if (this.onAcknowledged(utack.seq)) this.#session?.lanes.resendNow(now);
    for (const id of acknowledged.through) this.emit({ type: "acknowledged", id });
    if (acknowledged.type === FrameType.BYE) this.finish(this.#closeReason());
    if (acknowledged.type === FrameType.REKEY) {
      this.#session?.epochs.ownAcknowledged();
      this.noteRekeyed("us", now);
    }
    this.advance(now);
    return true;
  }

  override handleTimeout(now: Instant): void {
    super.handleTimeout(now);
    if (this.#closeAt !== undefined && now >= this.#closeAt) this.finish(this.#closeReason());
    if (this.isClosed()) return;
    this.handleHandshakeTimeout(now);
    if (this.#session === undefined) return;
    const { epochs, lanes } = this.#session;
    lanes.resend(now);
    if (epochs.handleTimeout(now, lanes.epochInUse, this.#quietMs)) this.noteRekeyed("peer", now);
    this.advance(now);
  }

  /** Queues a copy of a message of at most 1,808 bytes; `acknowledged` follows with the id that this answers. Throws UsageError. */
  send(message: Uint8Array, now: Instant): number {
    this.requireEstablished();
    const id = this.#established.lanes.messages.push(message);
    this.counters.messagesSent++;
    this.advance(now);
    return id;
  }

  /** Sends what is queued, then BYE, and ends when that is acknowledged, or after a second. Idempotent. */
  close(now: Instant): void {
    if (this.state === "handshaking") return this.finish({ code: "closed-locally" });
    if (this.state === "established") this.#beginClose(now);
  }

  /**
   * The application is behind: DATA is dropped unacknowledged, so that the peer keeps it. Control frames still pass, and what came
   * early and was acknowledged before still follows once the gap before it closes: less than a window of 64 frames.
   */
  pauseReceiving(): void {
    this.#paused = true;
  }

  resumeReceiving(): void {
    this.#paused = false;
  }

  override acceptMessages(count: number): void {
    for (const { utacks, to } of this.#held?.release(count) ?? []) this.#transmitAll(utacks, to);
  }

  protected establish({ deviceId, sessionId, keys }: Agreement, now: Instant): void {
    const epochs = new DatagramEpochs(this.crypto, this.#side, sessionId, keys, this.#firstSeq);
    const lanes = new Lanes(epochs, this.rtt, (frame, again, at) => this.transmitSealed(frame, again, at));
    this.#session = { epochs, lanes };
    this.enterSession(deviceId, now);
  }

  protected override advance(now: Instant): void {
    if (this.#session === undefined || this.isClosed()) return;
    const { lanes, epochs } = this.#session;
    if (this.#owed !== undefined && lanes.idle) this.#payOwed(this.#owed, epochs, now);
    if (this.#markMayGo(lanes, now)) this.wantPing();
    super.advance(now);
    if (lanes.spent && this.state === "established") this.#beginClose(now);
    const closing = this.state === "closing";
    // A wanted REKEY holds messages back, but no PING: without one a peer that moved could stay unheard for as long as a message waits.
    const bulk = this.pathProven && (closing || !this.rekeyDue(now));
    lanes.pump({ begin: this.confirmed && !epochs.frozen, bulk, closing }, now);
  }

  protected override transportTimeout(): Instant | undefined {
    const session = earliest(this.#session?.lanes.timeout, this.#session?.epochs.timeout);
    return earliest(session, earliest(this.#closeAt, this.handshakeTimeout()));
  }

  /** Even while the application is behind we hear authentic frames, and decline them: silence is the peer's. */
  protected override get receivingPaused(): boolean {
    return false;
  }

  /** The lanes keep a PING until it may go. */
  protected override get canPing(): boolean {
    return true;
  }

  protected override get canRekey(): boolean {
    return this.confirmed && this.#established.lanes.idle && !this.#established.epochs.frozen;
  }

  protected override get settled(): boolean {
    return this.#established.epochs.settled;
  }

  protected override get peerIsOurs(): true | undefined {
    return this.#established.epochs.peerIsOurs || undefined;
  }

  protected override askPeer(): void {
    if (this.#established.epochs.ask()) this.wantPing();
  }

  /** The field's receivers swallow what comes after a REKEY, quiet line or not (threats page, F1). */
  protected override get quietIsSafe(): boolean {
    return false;
  }

  protected override expire(limit: KeyLimit, now: Instant): void {
    this.#expiredBy = limit;
    this.#beginClose(now);
  }

  protected override sendControl(type: typeof FrameType.PING | typeof FrameType.PONG, now: Instant): void {
    this.#established.lanes.queueControl(type);
    // Counts as sent: what waits for its turn must not be queued again by the next timeout.
    this.lastSentAt = now;
  }

  protected override sendRekey(now: Instant): void {
    const { epochs, lanes } = this.#established;
    const salt = epochs.drawSalt();
    lanes.sendRekey(salt, now);
    epochs.initiate(salt);
  }

  protected override sendBye(now: Instant): void {
    this.#established.lanes.sayBye(now);
  }

  protected override undelivered(): Undelivered {
    return this.#session?.lanes.messages.pending() ?? super.undelivered();
  }

  protected override wipe(): void {
    this.#session?.epochs.wipe();
    this.#session = undefined;
    this.#owed = undefined;
    this.#held?.discard();
    this.#incoming.discard();
  }

  /** The session: asked for only between establish() and the end. */
  get #established(): EstablishedSession {
    return this.#session as EstablishedSession;
  }

  get #quietMs(): number {
    return Math.max(MIN_QUIET_MS, 2 * this.rtt.timeout);
  }

  #handleSessionFrame(frame: Frame, session: EstablishedSession, from: Address, now: Instant): void {
    const { epochs } = session;
    if (plaintextLength(frame.bytes) < 0) return this.drop("bad-length");
    if (!nonceMatches(frame, epochs.sessionId)) return this.drop("bad-nonce");
    const opened = epochs.open(frame);
    if (typeof opened === "string") return this.drop(opened);
    this.noteKeyUse(frame.bytes.length);
    this.#noteAuthentic(from, frame.bytes.length, now);
    if (opened.fresh) this.#onFresh(frame, opened, session, from, now);
    else this.#onDuplicate(frame, opened, from, now);
    if (this.isClosed()) return;
    if (!this.pathProven && from.key === this.address.key) this.#probe(session, opened.fresh, now);
    this.advance(now);
  }

  #onFresh(frame: Frame, opened: Opened, session: EstablishedSession, from: Address, now: Instant): void {
    const { epochs, lanes } = session;
    const mark = frame.type === FrameType.PING ? epochs.markIn(opened, frame.seq) : undefined;
    const room = { paused: this.#paused, control: this.control, marked: mark !== undefined };
    const declined = declines(frame, opened, room, now);
    if (declined !== undefined) {
      this.drop(declined);
      return this.#follow(frame, opened, session, from, true, now);
    }
    if (mark !== undefined) epochs.hear(opened, frame.seq, mark);
    const rekeyed = epochs.accept(opened, frame.seq, now, this.#quietMs);
    if (rekeyed === "ours") lanes.endRekey();
    if (rekeyed !== undefined) this.noteRekeyed(rekeyed === "ours" ? "us" : "peer", now);
    this.#follow(frame, opened, session, from, false, now);
    if (frame.type === FrameType.REKEY) return this.#onRekey(frame, opened, session, from);
    const utacks = epochs.utacks(opened, frame.type, frame.seq);
    const before = this.counters.messagesReceived;
    this.#take(frame, opened, utacks, now);
    const { messagesReceived } = this.counters;
    if (this.#held === undefined || messagesReceived === before) this.#transmitAll(utacks, from);
    else this.#held.hold(messagesReceived, { epoch: opened.epoch, seq: frame.seq, utacks, to: from });
  }

  #take(frame: Frame, { plaintext, epoch }: Opened, utacks: readonly Uint8Array[], now: Instant): void {
    const { type, seq } = frame;
    const isData = type === FrameType.DATA || type === FrameType.DATA_FRAG;
    for (const incoming of this.#incoming.take(epoch, seq, isData ? { type, seq, plaintext } : undefined)) {
      if ("dropped" in incoming) this.drop(incoming.dropped);
      else this.#deliver(incoming.message);
    }
    if (!isData) {
      if (frame.type === FrameType.PONG) this.onPong(now);
      if (frame.type === FrameType.PING) {
        this.control.noteSent(now);
        this.sendControl(FrameType.PONG, now);
      }
      if (frame.type === FrameType.BYE) {
        this.onBye(frame.bytes, utacks);
        this.finish(this.state === "closing" ? this.#closeReason() : { code: "closed-by-peer" });
      }
    }
  }

  #deliver(data: Uint8Array): void {
    this.counters.messagesReceived++;
    this.emit({ type: "message", data });
  }

  #onDuplicate(frame: Frame, opened: Opened, from: Address, now: Instant): void {
    this.drop("replayed");
    if (this.#held?.moveTo(from, opened.epoch, frame.seq)) return;
    if (frame.type === FrameType.REKEY) {
      if (this.#owed !== undefined) return;
      this.#established.epochs.startHold(now, this.#quietMs);
    }
    this.#transmitAll(this.#established.epochs.utacks(opened, frame.type, frame.seq), from);
  }

  #onRekey(frame: Frame, opened: Opened, { epochs, lanes }: EstablishedSession, from: Address): void {
    const followed = epochs.follow(opened.epoch, opened.plaintext);
    const owed = { opened, seq: frame.seq, to: from };
    // One that we do not follow changes nothing of what another REKEY waits for.
    if (followed !== "follow") return this.#acknowledgeRekey(owed, epochs);
    lanes.endRekey();
    this.#owed = owed;
  }

  /** Acknowledges the peer's REKEY, now that nothing of ours is on its way under the old keys (R4). */
  #payOwed(owed: OwedRekey, epochs: DatagramEpochs, now: Instant): void {
    this.#owed = undefined;
    this.#acknowledgeRekey(owed, epochs);
    epochs.startHold(now, this.#quietMs);
  }

  #acknowledgeRekey({ opened, seq, to }: OwedRekey, epochs: DatagramEpochs): void {
    this.#transmitAll(epochs.utacks(opened, FrameType.REKEY, seq), to);
  }

  #transmitAll(utacks: readonly Uint8Array[], to: Address): void {
    for (const utack of utacks) this.transmit(utack, to);
  }

  /** True when a PING that says something about order would be alone on its way. */
  #markMayGo(lanes: Lanes, now: Instant): boolean {
    return lanes.idle && lanes.markDue !== undefined && (lanes.draining || this.control.mayPing(now));
  }

  /** Follows the peer to the address of its newest frame. */
  #follow(
    frame: Frame,
    { epoch }: Opened,
    { epochs, lanes }: EstablishedSession,
    from: Address,
    declined: boolean,
    now: Instant,
  ): void {
    if (from.key === this.address.key || !epochs.isNewest(epoch, frame.seq)) return;
    const probeSeq = this.#heldUp(lanes, epochs)?.seq ?? epochs.nextSeq;
    if (declined) this.onNewestDeclined(from, probeSeq, now);
    else this.onNewest(from, probeSeq, now);
    if (from.key === this.address.key) this.onAuthentic(from, frame.bytes.length, now);
  }

  /** Something authentic came from an address that has not proven itself: it gets something to acknowledge, as often as it shows up. */
  #probe({ epochs, lanes }: EstablishedSession, fresh: boolean, now: Instant): void {
    const heldUp = this.#heldUp(lanes, epochs);
    // A frame of a message may be larger than what came from there. Without it the session would be stuck; and what is fresh nobody can repeat.
    if (heldUp !== undefined && (fresh || this.mayTransmit(heldUp.frame.length))) {
      return this.transmitFrame(heldUp.frame, true, now);
    }
    if (heldUp !== undefined) return;
    if (now < (this.control.nextPingAt ?? now)) return this.wantPing();
    if (lanes.probe(now)) this.control.notePing(now);
  }

  #heldUp(lanes: Lanes, epochs: DatagramEpochs): ReturnType<Lanes["heldUp"]> {
    return lanes.heldUp(!this.confirmed || epochs.frozen);
  }

  #noteAuthentic(from: Address, bytes: number, now: Instant): void {
    this.lastReceivedAt = now;
    this.onAuthentic(from, bytes, now);
  }

  #beginClose(now: Instant): void {
    this.enterClosing();
    this.#closeAt = addMs(now, CLOSE_TIMEOUT_MS);
    this.advance(now);
  }

  #closeReason(): CloseReason {
    if (this.#expiredBy !== undefined) return { code: "key-expired", limit: this.#expiredBy };
    return { code: this.#session?.lanes.spent ? "sequence-exhausted" : "closed-locally" };
  }
}
