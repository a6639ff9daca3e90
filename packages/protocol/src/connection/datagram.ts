import { LAST_SEQ, REKEY_SALT_LENGTH } from "../constants.ts";
import type { Side, TrafficKeys } from "../crypto/provider.ts";
import { DatagramEpochs, type Opened } from "../record/datagram-epochs.ts";
import { Assembler } from "../record/fragment.ts";
import { nonceMatches, plaintextLength } from "../record/protection.ts";
import { RttEstimator } from "../recovery/rtt.ts";
import { addMs, earliest, type Instant } from "../time.ts";
import { decodeFrame, encodeFrame, type Frame, FrameType, isSessionType } from "../wire/frame.ts";
import { decodeUtack, encodeUtack, looksLikeUtack, type Utack } from "../wire/utack.ts";
import type { ConnectionConfig } from "./config.ts";
import { Connection } from "./connection.ts";
import type { DropCause } from "./counters.ts";
import type { Address, Undelivered } from "./events.ts";
import { Lanes } from "./lanes.ts";

/** How long close() waits for what is queued and for the acknowledgement of BYE. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Shortest quiet time of a rekey (R1, R4): two retransmission periods of a peer with the field's first timeout. */
const MIN_QUIET_MS = 1_000;

/** One datagram to send: exactly one frame or one UTACK. */
export interface Datagram {
  readonly data: Uint8Array;
  readonly to: Address;
}

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
export abstract class DatagramConnection extends Connection {
  protected peer: Address;
  protected readonly rtt: RttEstimator = new RttEstimator();
  readonly #side: Side;
  readonly #firstSeq: number;
  readonly #outbox: Datagram[] = [];
  readonly #assembler: Assembler = new Assembler();
  #session: EstablishedSession | undefined;
  /** The peer's REKEY, whose UTACK waits until our own frames are through (R4). */
  #owed: OwedRekey | undefined;
  #closeAt: Instant | undefined;
  #paused = false;

  protected constructor(side: Side, config: ConnectionConfig, options: DatagramOptions, now: Instant) {
    super(config, now);
    this.#side = side;
    this.peer = options.peer;
    this.#firstSeq = options.firstSeq ?? 0;
  }

  /** Where the peer is; a server's session follows it. */
  get address(): Address {
    return this.peer;
  }

  get roundTripMs(): number | undefined {
    return this.rtt.smoothed;
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
    this.#noteAuthentic(this.peer, now);
    if (acknowledged.what === "bye") this.finish(this.#closeReason());
    if (acknowledged.what === "message") this.emit({ type: "acknowledged", id: acknowledged.id });
    if (acknowledged.what === "rekey") {
      this.#session?.epochs.ownAcknowledged();
      this.noteRekeyed("us");
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
    if (epochs.handleTimeout(now, lanes.epochInUse, this.#quietMs)) this.noteRekeyed("peer");
    this.advance(now);
  }

  /** The next datagram to send. */
  pollTransmit(): Datagram | undefined {
    return this.#outbox.shift();
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

  /** The application is behind: DATA is dropped unacknowledged, so that the peer keeps it. Control frames still pass. */
  pauseReceiving(): void {
    this.#paused = true;
  }

  resumeReceiving(): void {
    this.#paused = false;
  }

  /** Takes HELLO, CHALLENGE, HELLO_ACK, SESSION_OK or HELLO_RETRY: in any state, as late copies come. */
  protected abstract handleHandshakeFrame(frame: Frame, from: Address, now: Instant): void;
  /** Takes the plaintext UTACK of a handshake frame; false when it acknowledges nothing. */
  protected abstract handleHandshakeUtack(utack: Utack, now: Instant): boolean;
  protected abstract handleHandshakeTimeout(now: Instant): void;
  protected abstract handshakeTimeout(): Instant | undefined;
  /** False while session frames must wait for the handshake's last acknowledgement. */
  protected abstract get confirmed(): boolean;
  /** An authentic session frame, or UTACK, came from there. */
  protected abstract onAuthentic(from: Address, now: Instant): void;
  /** An authentic frame, fresh and the newest of all, came from there. */
  protected abstract onNewest(from: Address): void;
  /** The same, but it had no place and will come again: as a copy, for all we can tell then. */
  protected abstract onNewestDeclined(from: Address, now: Instant): void;
  /** BYE came in this frame; `utacks` answer it, should it come again after the end. */
  protected abstract onBye(frame: Uint8Array, utacks: readonly Uint8Array[]): void;

  protected drop(cause: DropCause): void {
    this.counters.drop(cause);
  }

  protected isClosed(): boolean {
    return this.state === "closed";
  }

  /** Sends a handshake frame for the first time and answers it whole, for resendPlain(). */
  protected sendPlain(type: FrameType, seq: number, payload: Uint8Array, now: Instant): Uint8Array {
    const frame = encodeFrame(type, seq, payload);
    this.#transmitFrame(frame, false, now);
    return frame;
  }

  protected resendPlain(frame: Uint8Array, now: Instant): void {
    this.#transmitFrame(frame, true, now);
  }

  /** Acknowledges a handshake frame; its own seq is echoed (spec section 3). */
  protected acknowledgePlain(frame: Pick<Frame, "type" | "seq">, to: Address): void {
    this.#transmit(encodeUtack(frame.type, frame.seq), to);
  }

  protected establish(sessionId: Uint8Array, keys: TrafficKeys): void {
    const epochs = new DatagramEpochs(this.crypto, this.#side, sessionId, keys, this.#firstSeq);
    const lanes = new Lanes(epochs, this.rtt, (frame, again, now) => this.#transmitFrame(frame, again, now));
    this.#session = { epochs, lanes };
    this.enter("established");
  }

  protected override advance(now: Instant): void {
    if (this.#session === undefined || this.isClosed()) return;
    const { lanes, epochs } = this.#session;
    if (this.#owed !== undefined && lanes.idle) this.#payOwed(this.#owed, epochs, now);
    super.advance(now);
    if (lanes.spent && this.state === "established") this.#beginClose(now);
    const closing = this.state === "closing";
    lanes.pump({ begin: this.confirmed && !epochs.frozen && (closing || !this.rekeyDue(now)), closing }, now);
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
    this.#assembler.discard();
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
    this.#noteAuthentic(from, now);
    if (!opened.fresh) return this.#onDuplicate(frame, opened, from, now);
    const declined = this.#declines(frame, opened, now);
    if (declined !== undefined) {
      if (epochs.isNewest(opened.epoch, frame.seq)) this.onNewestDeclined(from, now);
      return this.drop(declined);
    }
    const rekeyed = epochs.accept(opened, frame.seq, now, this.#quietMs);
    if (rekeyed === "ours") session.lanes.endRekey();
    if (rekeyed !== undefined) this.noteRekeyed(rekeyed === "ours" ? "us" : "peer");
    if (epochs.isNewest(opened.epoch, frame.seq)) this.onNewest(from);
    if (frame.type === FrameType.REKEY) this.#onRekey(frame, opened, session, from, now);
    else {
      const utacks = epochs.utacks(opened, frame.type, frame.seq);
      for (const utack of utacks) this.#transmit(utack, from);
      this.#take(frame, opened.plaintext, utacks, now);
    }
    this.advance(now);
  }

  /** Why an authentic, fresh frame has no place; it stays unacknowledged and, but for breaches, will come again. */
  #declines(frame: Frame, { plaintext }: Opened, now: Instant): DropCause | undefined {
    switch (frame.type) {
      case FrameType.DATA:
      case FrameType.DATA_FRAG:
        if (frame.seq === LAST_SEQ) return "sequence-exhausted";
        return this.#paused ? "receiver-full" : undefined;
      case FrameType.REKEY:
        if (plaintext.length !== REKEY_SALT_LENGTH) return "bad-length";
        if (frame.seq === LAST_SEQ) return "sequence-exhausted";
        return this.control.takeRekey(now) ? undefined : "control-flood";
      default:
        if (plaintext.length > 0) return "bad-length";
        if (frame.type === FrameType.BYE) return undefined;
        if (frame.seq === LAST_SEQ) return "sequence-exhausted";
        return this.control.takeReceived(now) ? undefined : "control-flood";
    }
  }

  #take(frame: Frame, plaintext: Uint8Array, utacks: readonly Uint8Array[], now: Instant): void {
    if (frame.type === FrameType.DATA || frame.type === FrameType.DATA_FRAG) this.#onData(frame, plaintext);
    else {
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

  #onData(frame: Frame, plaintext: Uint8Array): void {
    if (this.#assembler.breaksAt(frame.seq)) {
      this.#assembler.discard();
      this.drop("broken-fragments");
    }
    const assembled = this.#assembler.add(frame.type, frame.seq, plaintext);
    if (assembled === undefined) return;
    if ("violation" in assembled) return this.drop(assembled.violation);
    this.counters.messagesReceived++;
    this.emit({ type: "message", data: assembled.message });
  }

  #onDuplicate(frame: Frame, opened: Opened, from: Address, now: Instant): void {
    this.drop("replayed");
    if (frame.type === FrameType.REKEY) {
      if (this.#owed !== undefined) return;
      this.#established.epochs.startHold(now, this.#quietMs);
    }
    for (const utack of this.#established.epochs.utacks(opened, frame.type, frame.seq)) this.#transmit(utack, from);
  }

  #onRekey(frame: Frame, opened: Opened, { epochs, lanes }: EstablishedSession, from: Address, now: Instant): void {
    const followed = epochs.follow(opened.epoch, opened.plaintext);
    const owed = { opened, seq: frame.seq, to: from };
    if (followed !== "follow") return this.#payOwed(owed, epochs, now);
    lanes.endRekey();
    this.#owed = owed;
  }

  /** Acknowledges the peer's REKEY, now that nothing of ours is on its way under the old keys (R4). */
  #payOwed(owed: OwedRekey, epochs: DatagramEpochs, now: Instant): void {
    this.#owed = undefined;
    for (const utack of epochs.utacks(owed.opened, FrameType.REKEY, owed.seq)) this.#transmit(utack, owed.to);
    epochs.startHold(now, this.#quietMs);
  }

  #noteAuthentic(from: Address, now: Instant): void {
    this.lastReceivedAt = now;
    this.onAuthentic(from, now);
  }

  #beginClose(now: Instant): void {
    this.enter("closing");
    this.#closeAt = addMs(now, CLOSE_TIMEOUT_MS);
    this.advance(now);
  }

  #closeReason(): { readonly code: "sequence-exhausted" | "closed-locally" } {
    return { code: this.#session?.lanes.spent ? "sequence-exhausted" : "closed-locally" };
  }

  #transmitFrame(frame: Uint8Array, again: boolean, now: Instant): void {
    // Copies do not put the keepalive off: a peer follows us to a new address for fresh frames only, its PING among them.
    if (!again) this.lastSentAt = now;
    this.counters[again ? "retransmissions" : "framesSent"]++;
    this.#transmit(frame, this.peer);
  }

  #transmit(data: Uint8Array, to: Address): void {
    this.counters.bytesSent += data.length;
    this.#outbox.push({ data, to });
  }
}
