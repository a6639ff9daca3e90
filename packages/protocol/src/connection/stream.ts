import { HEADER_LENGTH, LAST_SEQ, REKEY_SALT_LENGTH } from "../constants.ts";
import type { Side } from "../crypto/provider.ts";
import type { Violation } from "../errors.ts";
import { Assembler, fragmentAt, fragmentCount, fragmentType } from "../record/fragment.ts";
import { nonceMatches, plaintextLength, prepareFrame, sealedLength, sealFrame } from "../record/protection.ts";
import { StreamEpochs } from "../record/stream-epochs.ts";
import type { Instant } from "../time.ts";
import {
  announcedPayloadLength,
  type Frame,
  FrameType,
  isSessionType,
  violationOffset,
  writeCrc,
  writeHeader,
} from "../wire/frame.ts";
import { Framer } from "../wire/framer.ts";
import { type FrameSlab, Output } from "../wire/output.ts";
import type { ConnectionConfig } from "./config.ts";
import { Connection } from "./connection.ts";
import type { Agreement, Breach } from "./events.ts";
import { HeldAnswers } from "./held-answers.ts";
import type { KeyLimit } from "./key-life.ts";

/** A session ends with BYE when so few sequence numbers are left: a message and the control frames around it still fit. */
const SPENT_SEQ: number = LAST_SEQ - 16;
const NOTHING: Uint8Array = new Uint8Array(0);
/** A session frame without plaintext. */
const SHORTEST_SEALED: number = sealedLength(0);
/** PONGs that wait for the application to accept messages. Of more, the last waits for them all: together they must not break the peer's limit. */
const MOST_HELD_PONGS = 2;

/** What a stream connection is made with beside its role's configuration. */
export interface StreamOptions {
  readonly slab: FrameSlab;
  /** Both directions of the first epoch count from here. Only tests of the end of the sequence space change it. */
  readonly firstSeq?: number | undefined;
}

/**
 * A connection over an in-order transport: TCP, WebSocket. A frame's seq is exactly the next one, and any violation closes the
 * connection (spec section 4). The roles differ in their handshake alone: stream-client.ts, stream-server.ts.
 */
export abstract class StreamConnection extends Connection {
  readonly #side: Side;
  readonly #framer: Framer = new Framer();
  readonly #slab: FrameSlab;
  readonly #output: Output;
  readonly #firstSeq: number;
  #epochs: StreamEpochs | undefined;
  #assembler: Assembler | undefined;
  #paused = false;
  #sendCount = 0;
  #breach: Breach | undefined;
  #accepted = 0;
  /** Absent when a PING is answered at once. */
  readonly #heldPongs: HeldAnswers<typeof FrameType.PONG> | undefined;

  protected constructor(side: Side, config: ConnectionConfig, options: StreamOptions, now: Instant) {
    super(config, now);
    this.#side = side;
    this.#slab = options.slab;
    this.#output = new Output(options.slab);
    this.#firstSeq = options.firstSeq ?? 0;
    this.#heldPongs = config.acknowledge === "accepted" ? new HeldAnswers() : undefined;
  }

  override get breach(): Breach | undefined {
    return this.#breach;
  }

  /** Takes a chunk as it came from the transport; views of it are used until this returns, none is kept. */
  handleBytes(chunk: Uint8Array, now: Instant): void {
    if (this.state === "closed") return;
    this.counters.bytesReceived += chunk.length;
    this.#framer.push(chunk);
    for (;;) {
      if (this.#epochs?.opensRuns) this.#handleRuns(this.#epochs, now);
      if (this.isClosed()) return;
      const frame = this.#framer.next();
      if (frame === undefined) break;
      if (typeof frame === "string") return this.violate(frame, this.#framer.rejectedHead);
      this.#handleFrame(frame, now);
      if (this.isClosed()) return;
    }
    if (this.#assembler?.midMessage) this.#assembler.keep();
    else this.#assembler = undefined;
  }

  /** The transport's read side ended without a BYE. */
  handleEnd(): void {
    if (this.state === "handshaking") {
      this.finish({ code: "transport-ended", during: "handshake", awaiting: this.awaiting });
    } else {
      this.finish({ code: "transport-ended", during: "session" });
    }
  }

  /** True when pollTransmit() has something. */
  get hasTransmit(): boolean {
    return !this.#output.isEmpty;
  }

  /** Everything that is ready to leave, in one piece where memory allows. */
  pollTransmit(): Uint8Array | undefined {
    return this.#output.take();
  }

  /** Seals a message of at most 1,808 bytes; it is ready to be polled. Answers its id. Throws UsageError. */
  send(message: Uint8Array, now: Instant): number {
    this.requireEstablished();
    const count = fragmentCount(message.length);
    if (count === 1) this.#seal(FrameType.DATA, message, now);
    else this.#sealFragments(message, count, now);
    this.counters.messagesSent++;
    this.#endIfSpent(now);
    return this.#sendCount++;
  }

  /** Says BYE and ends. What was sent before is ready to be polled, BYE behind it. Idempotent. */
  close(now: Instant): void {
    this.dismiss({ code: "closed-locally" }, now);
  }

  /** The driver stops reading because the application is behind: silence no longer counts against the peer. */
  pauseReceiving(): void {
    this.#paused = true;
  }

  resumeReceiving(now: Instant): void {
    this.#paused = false;
    this.noteTimeoutMoved();
    this.lastReceivedAt = now;
  }

  override acceptMessages(count: number, now: Instant): void {
    this.#accepted = count;
    for (const type of this.#heldPongs?.release(count) ?? []) {
      // The first may have used the last sequence number up.
      if (this.state === "established") this.#answer(type, now);
    }
  }

  /** TCP measures round trips below us; only PINGs show one here. */
  get roundTripMs(): undefined {
    return undefined;
  }

  /** Takes a plaintext frame while the handshake is under way. */
  protected abstract handleHandshakeFrame(frame: Frame, now: Instant): void;
  /** The first authentic session frame came. */
  protected abstract onProven(): void;

  /** Puts a handshake frame into the output. */
  protected sendPlain(type: FrameType, seq: number, payload: Uint8Array, now: Instant): void {
    const frame = this.#output.allocate(HEADER_LENGTH + payload.length);
    frame.set(payload, HEADER_LENGTH);
    writeHeader(frame, type, seq);
    writeCrc(frame);
    this.#countSent(frame.length, now);
  }

  /** The handshake is done: from here on only sealed frames count. */
  protected establish({ deviceId, sessionId, keys }: Agreement, now: Instant): void {
    this.#epochs = new StreamEpochs(this.crypto, this.#side, sessionId, keys, this.#firstSeq);
    this.enterSession(deviceId, now);
  }

  protected violate(violation: Violation, head: Uint8Array = NOTHING): void {
    this.#breach = { offset: this.#framer.frameStart + violationOffset(violation), head };
    this.finish({
      code: "protocol-violation",
      violation,
      during: this.state === "handshaking" ? "handshake" : "session",
    });
  }

  protected isClosed(): boolean {
    return this.state === "closed";
  }

  protected override transportTimeout(): undefined {
    return undefined;
  }

  protected override get receivingPaused(): boolean {
    return this.#paused;
  }

  protected override get canPing(): boolean {
    return true;
  }

  protected override get canRekey(): boolean {
    return true;
  }

  protected override get settled(): boolean {
    return this.#session.settled;
  }

  /** Nothing on an in-order transport tells: every number is the next one. */
  protected override get peerIsOurs(): false {
    return false;
  }

  protected override askPeer(): void {}

  protected override get quietIsSafe(): boolean {
    return true;
  }

  protected override expire(limit: KeyLimit, now: Instant): void {
    this.#seal(FrameType.BYE, NOTHING, now);
    this.finish({ code: "key-expired", limit });
  }

  protected override sendControl(type: typeof FrameType.PING | typeof FrameType.PONG, now: Instant): void {
    this.#seal(type, NOTHING, now);
    this.#endIfSpent(now);
  }

  protected override sendRekey(now: Instant): void {
    const salt = this.#session.drawSalt();
    this.#seal(FrameType.REKEY, salt, now);
    this.#session.initiate(salt);
    this.noteRekeyed("us", now);
  }

  protected override sendBye(now: Instant): void {
    this.#seal(FrameType.BYE, NOTHING, now);
  }

  protected override wipe(): void {
    this.#epochs?.wipe();
    this.#assembler = undefined;
    this.#heldPongs?.discard();
  }

  /** The epochs of an established session: asked for only after establish(). */
  get #session(): StreamEpochs {
    return this.#epochs as StreamEpochs;
  }

  #handleFrame(frame: Frame, now: Instant): void {
    this.counters.framesReceived++;
    if (frame.type === FrameType.ERROR) this.counters.drop("error-frame");
    else if (this.#epochs === undefined) {
      // Silence counts from the handshake's last frame, however long it took; before that only its deadline counts.
      this.lastReceivedAt = now;
      this.handleHandshakeFrame(frame, now);
    } else this.#handleSessionFrame(frame, this.#epochs, now);
  }

  #handleSessionFrame(frame: Frame, epochs: StreamEpochs, now: Instant): void {
    if (!isSessionType(frame.type)) return this.violate("unexpected-type");
    if (plaintextLength(frame.bytes) < 0) return this.violate("bad-length");
    if (!nonceMatches(frame, epochs.sessionId)) return this.violate("bad-nonce");
    const plaintext = epochs.open(frame, this.#slab.messages.take(plaintextLength(frame.bytes)));
    if (typeof plaintext === "string") return this.violate(plaintext);
    this.noteTimeoutMoved();
    this.noteKeyUse(frame.bytes.length);
    this.lastReceivedAt = now;
    this.onProven();
    if (frame.type === FrameType.DATA || frame.type === FrameType.DATA_FRAG) {
      if (frame.seq === LAST_SEQ) this.violate("sequence-exhausted");
      else this.#onData(frame.type, frame.seq, plaintext);
    } else if (this.#assembler?.midMessage) this.violate("broken-fragments");
    else this.#onControl(frame, plaintext, epochs, now);
  }

  /** Opens the good data frames that come next several at a time; whatever else comes is left to handleFrame(). */
  #handleRuns(epochs: StreamEpochs, now: Instant): void {
    const { chunk } = this.#framer;
    while (this.#framer.available >= SHORTEST_SEALED) {
      const out = this.#slab.messages.room;
      const count = epochs.openRun(chunk, this.#framer.offset, out);
      if (count === 0) return;
      this.lastReceivedAt = now;
      this.onProven();
      this.#takeRun(count, epochs.nextReceive - count, out);
      if (this.isClosed()) return;
    }
  }

  /** The frames of a run, whose plaintexts stand back to back in `out`. */
  #takeRun(count: number, firstSeq: number, out: Uint8Array): void {
    const { chunk } = this.#framer;
    let plainEnd = 0;
    // What follows a violation has no effect.
    for (let i = 0; i < count && !this.isClosed(); i++) {
      const at = this.#framer.offset;
      const plainStart = plainEnd;
      const length = HEADER_LENGTH + announcedPayloadLength(chunk, at);
      plainEnd += length - SHORTEST_SEALED;
      this.#framer.skip(length);
      this.counters.framesReceived++;
      this.noteKeyUse(length);
      this.#onData(chunk[at + 3] as FrameType, firstSeq + i, out.subarray(plainStart, plainEnd));
    }
    this.#slab.messages.take(plainEnd);
  }

  #onData(type: FrameType, seq: number, plaintext: Uint8Array): void {
    if (type === FrameType.DATA && !this.#assembler?.midMessage) return this.#deliver(plaintext);
    this.#assembler ??= new Assembler();
    const assembled = this.#assembler.add(type, seq, plaintext);
    if (assembled === undefined) return;
    if ("violation" in assembled) return this.violate(assembled.violation);
    this.#deliver(assembled.message);
  }

  #deliver(data: Uint8Array): void {
    this.counters.messagesReceived++;
    this.emit({ type: "message", data });
  }

  #onControl(frame: Frame, plaintext: Uint8Array, epochs: StreamEpochs, now: Instant): void {
    if (frame.type === FrameType.REKEY) return this.#onRekey(frame, plaintext, epochs, now);
    if (plaintext.length > 0) return this.violate("bad-length");
    if (frame.type === FrameType.BYE) return this.finish({ code: "closed-by-peer" });
    if (frame.seq === LAST_SEQ) return this.violate("sequence-exhausted");
    if (!this.control.takeReceived(now)) return this.violate("control-flood");
    if (frame.type === FrameType.PONG) this.onPong(now);
    else this.#onPing(now);
    this.advance(now);
  }

  #onPing(now: Instant): void {
    const { messagesReceived } = this.counters;
    if (this.#heldPongs === undefined || this.#accepted >= messagesReceived) this.#answer(FrameType.PONG, now);
    else if (this.#heldPongs.length < MOST_HELD_PONGS) this.#heldPongs.hold(messagesReceived, FrameType.PONG);
    else this.#heldPongs.extend(messagesReceived);
  }

  #answer(type: typeof FrameType.PONG, now: Instant): void {
    this.control.noteSent(now);
    this.sendControl(type, now);
  }

  #onRekey(frame: Frame, salt: Uint8Array, epochs: StreamEpochs, now: Instant): void {
    if (salt.length !== REKEY_SALT_LENGTH) return this.violate("bad-length");
    if (frame.seq === LAST_SEQ) return this.violate("sequence-exhausted");
    if (!this.control.takeRekey(now)) return this.violate("control-flood");
    if (epochs.follow(salt)) this.noteRekeyed("peer", now);
  }

  #seal(type: FrameType, plaintext: Uint8Array, now: Instant): void {
    const epochs = this.#session;
    const frame = this.#output.allocate(sealedLength(plaintext.length));
    const seq = epochs.takeSeq();
    sealFrame(frame, epochs.transmitKeys.transmit, epochs.sessionId, type, seq, plaintext);
    this.#countSealed(frame.length, now);
  }

  /** Seals a message of several frames: in one call, where the key offers that. */
  #sealFragments(message: Uint8Array, count: number, now: Instant): void {
    const epochs = this.#session;
    const key = epochs.transmitKeys.transmit;
    if (key.sealRun === undefined) {
      for (let i = 0; i < count; i++) this.#seal(fragmentType(i, count), fragmentAt(message, i), now);
      return;
    }
    const length = message.length + count * SHORTEST_SEALED;
    const start = this.#output.reserve(length);
    const { bytes } = this.#output;
    let end = start;
    for (let i = 0; i < count; i++) {
      const begin = end;
      const fragment = fragmentAt(message, i);
      end = prepareFrame(bytes, begin, epochs.sessionId, fragmentType(i, count), epochs.takeSeq(), fragment);
      this.#countSealed(end - begin, now);
    }
    try {
      key.sealRun(bytes, start, end);
    } catch (error) {
      // They are part of what leaves next: their plaintext must not.
      bytes.fill(0, start, end);
      throw error;
    }
  }

  #countSealed(length: number, now: Instant): void {
    this.noteKeyUse(length);
    this.#countSent(length, now);
  }

  #countSent(length: number, now: Instant): void {
    this.lastSentAt = now;
    this.counters.framesSent++;
    this.counters.bytesSent += length;
  }

  /** P5: the session ends before its sequence numbers do. */
  #endIfSpent(now: Instant): void {
    if (this.#session.nextSeq < SPENT_SEQ) return;
    this.dismiss({ code: "sequence-exhausted" }, now);
  }
}
