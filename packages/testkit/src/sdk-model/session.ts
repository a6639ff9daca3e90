import {
  type CryptoProvider,
  constants,
  FrameType,
  type Instant,
  nonceMatches,
  openFrame,
  plaintextLength,
  rekeyInfo,
  sealedLength,
  sealFrame,
  type TrafficKeys,
} from "@usmp/protocol";
import { SdkError, type SdkFrame } from "./frames.ts";
import type { SdkStream } from "./stream.ts";
import { Lock, type Task } from "./tasks.ts";

const { HEADER_LENGTH, LAST_SEQ, MAX_FRAGMENT_LENGTH, MAX_FRAGMENTS, MAX_MESSAGE_LENGTH, REKEY_SALT_LENGTH } =
  constants;
const WINDOW = 64;
const MAX_CONTROL_FRAMES = 8;
/** What recv() survives over UDP: FrameError with its subclasses, and SequenceError. */
const VIOLATIONS = ["CRCError", "FrameError", "MagicError", "PayloadError", "SequenceError", "VersionError"] as const;

export interface SdkSessionInfo {
  readonly deviceId: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly keys: TrafficKeys;
}

/** USMPSession of the Python SDK 1.2.2, await for await. The letters F and numbers are the flaws of the threats page, 2.1. */
export class SdkSession {
  readonly stream: SdkStream;
  readonly #crypto: CryptoProvider;
  readonly #sessionId: Uint8Array;
  readonly #now: () => Instant;
  readonly #lock = new Lock();
  #keys: TrafficKeys;
  #transmitSeq = 0;
  #receiveSeq = 0;
  #window = 0n;
  #closed = false;
  lastReceivedAt: Instant;

  constructor(crypto: CryptoProvider, stream: SdkStream, info: SdkSessionInfo, now: () => Instant) {
    this.#crypto = crypto;
    this.stream = stream;
    this.#sessionId = info.sessionId;
    this.#keys = info.keys;
    this.#now = now;
    this.lastReceivedAt = now();
  }

  *send(message: Uint8Array): Task<void> {
    if (message.length > MAX_MESSAGE_LENGTH) throw new SdkError("PayloadError", "Payload too large");
    yield* this.#lock.hold(() => this.#sendLocked(message));
  }

  *ping(): Task<void> {
    yield* this.#sendControl(FrameType.PING);
  }

  /** F2, F3, F4: both directions change at once, when the REKEY was acknowledged, whatever came meanwhile. */
  *rekey(): Task<void> {
    const salt = new Uint8Array(REKEY_SALT_LENGTH);
    this.#crypto.randomFill(salt);
    yield* this.#lock.hold(() => this.#rekeyLocked(salt));
  }

  *bye(): Task<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      yield* this.#sendControl(FrameType.BYE);
    } catch (error) {
      if (!isSdkError(error, "SequenceError", "OSError")) throw error;
    } finally {
      this.stream.close();
    }
  }

  /** recv(): the next message. What it has assembled is gone when it is cancelled (F8). */
  *receive(): Task<Uint8Array> {
    const controls = new ControlCount(this.#now());
    let assembly = new Assembly();
    for (;;) {
      const taken = yield* this.#nextFrame();
      if (taken === undefined) continue;
      const { frame, plaintext } = taken;
      try {
        const message = yield* this.#take(frame, plaintext, assembly, controls);
        if (message !== undefined) return message;
      } catch (error) {
        if (this.stream.reliable || !isSdkError(error, ...VIOLATIONS)) throw error;
        // F7: the frame that broke the order is gone with what it broke.
        assembly = new Assembly();
      }
    }
  }

  /** Undefined for what a datagram session drops in silence. */
  *#nextFrame(): Task<{ readonly frame: SdkFrame; readonly plaintext: Uint8Array } | undefined> {
    const { reliable } = this.stream;
    let frame: SdkFrame;
    let plaintext: Uint8Array;
    try {
      frame = yield* this.stream.readFrame();
      if (!reliable && this.#isReplayed(frame.seq)) return undefined;
      plaintext = this.#open(frame);
    } catch (error) {
      if (reliable || isSdkError(error, "IncompleteReadError", "OSError")) throw error;
      return undefined;
    }
    this.lastReceivedAt = this.#now();
    if (frame.seq >= LAST_SEQ) throw new SdkError("SequenceError", "RX sequence overflowed");
    if (reliable) this.#takeNext(frame.seq);
    else {
      this.#mark(frame.seq);
      this.stream.confirmAuthenticated(frame.seq);
    }
    return { frame, plaintext };
  }

  *#take(
    frame: SdkFrame,
    plaintext: Uint8Array,
    assembly: Assembly,
    controls: ControlCount,
  ): Task<Uint8Array | undefined> {
    switch (frame.type) {
      case FrameType.BYE:
        throw new SdkError("ConnectionClosedError", "Remote sent BYE");
      case FrameType.PING:
      case FrameType.PONG:
        if (assembly.length > 0) throw new SdkError("SequenceError", "control frame during fragmentation");
        if (frame.type === FrameType.PING) yield* this.#sendControl(FrameType.PONG);
        controls.take(this.#now());
        return undefined;
      case FrameType.REKEY:
        if (assembly.length > 0) throw new SdkError("SequenceError", "REKEY during fragmentation");
        if (plaintext.length !== REKEY_SALT_LENGTH) throw new SdkError("PayloadError", "Invalid REKEY payload length");
        this.#changeKeys("peer", plaintext);
        return undefined;
      case FrameType.DATA:
      case FrameType.DATA_FRAG:
        return assembly.add(frame, plaintext);
      default:
        throw new SdkError("FrameError", "Unexpected frame type");
    }
  }

  #isReplayed(seq: number): boolean {
    if (seq <= this.#receiveSeq - WINDOW) return true;
    return seq <= this.#receiveSeq && (this.#window & (1n << BigInt(this.#receiveSeq - seq))) !== 0n;
  }

  #open(frame: SdkFrame): Uint8Array {
    const whole = { type: frame.type, seq: frame.seq, bytes: frame.bytes };
    if (plaintextLength(frame.bytes) < 0) throw new SdkError("CryptoError", "Payload too short");
    if (!nonceMatches(whole, this.#sessionId)) throw new SdkError("CryptoError", "Nonce mismatch");
    const plaintext = openFrame(whole, this.#keys.receive);
    if (plaintext === undefined) throw new SdkError("CryptoError", "Authentication tag verification failed");
    return plaintext;
  }

  #mark(seq: number): void {
    if (seq > this.#receiveSeq) {
      const shift = seq - this.#receiveSeq;
      this.#window = shift < WINDOW ? BigInt.asUintN(WINDOW, this.#window << BigInt(shift)) | 1n : 1n;
      this.#receiveSeq = seq;
    } else this.#window |= 1n << BigInt(this.#receiveSeq - seq);
  }

  #takeNext(seq: number): void {
    if (seq !== this.#receiveSeq) throw new SdkError("SequenceError", `expected ${this.#receiveSeq}, got ${seq}`);
    this.#receiveSeq++;
  }

  *#sendControl(type: FrameType): Task<void> {
    yield* this.#lock.hold(() => this.#sendFrame(type, new Uint8Array(0)));
  }

  *#sendLocked(message: Uint8Array): Task<void> {
    let offset = 0;
    do {
      const chunk = message.subarray(offset, offset + MAX_FRAGMENT_LENGTH);
      offset += chunk.length;
      yield* this.#sendFrame(offset < message.length ? FrameType.DATA_FRAG : FrameType.DATA, chunk);
    } while (offset < message.length);
  }

  *#rekeyLocked(salt: Uint8Array): Task<void> {
    yield* this.#sendFrame(FrameType.REKEY, salt);
    this.#changeKeys("us", salt);
  }

  /** The number is spent before the write, so that a failed one is never used again. */
  *#sendFrame(type: FrameType, plaintext: Uint8Array): Task<void> {
    const seq = this.#transmitSeq;
    if (seq >= LAST_SEQ && type !== FrameType.BYE) throw new SdkError("SequenceError", "TX sequence overflowed");
    const frame = new Uint8Array(sealedLength(plaintext.length));
    sealFrame(frame, this.#keys.transmit, this.#sessionId, type, seq, plaintext);
    this.#transmitSeq = Math.min(seq + 1, LAST_SEQ);
    yield* this.stream.writeFrame(type, frame.subarray(HEADER_LENGTH), seq);
  }

  /** F1: the session begins again at 0, its transport's mark stays. */
  #changeKeys(initiator: "us" | "peer", salt: Uint8Array): void {
    this.#keys = this.#keys.next(initiator, salt, rekeyInfo(this.#sessionId));
    this.#transmitSeq = 0;
    this.#receiveSeq = 0;
    this.#window = 0n;
    this.stream.setSessionKeys(this.#keys);
  }
}

/** Fragments of one message, which live as long as one recv() (F8). */
class Assembly {
  readonly #chunks: Uint8Array[] = [];
  #frames = 0;
  #nextSeq = 0;

  get length(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  add(frame: SdkFrame, plaintext: Uint8Array): Uint8Array | undefined {
    if (this.#frames > 0) {
      if (frame.seq !== this.#nextSeq) throw new SdkError("SequenceError", "out-of-order fragment sequence");
      this.#nextSeq++;
    } else this.#nextSeq = frame.seq + 1;
    this.#chunks.push(plaintext);
    this.#frames++;
    if (frame.type === FrameType.DATA) return Buffer.concat(this.#chunks);
    if (this.#frames >= MAX_FRAGMENTS) throw new SdkError("PayloadError", "exceeded max fragments limit");
    return undefined;
  }
}

/** F18: more than eight PING or PONG frames within one recv() and one second end the session. */
class ControlCount {
  #windowStart: Instant;
  #count = 0;

  constructor(now: Instant) {
    this.#windowStart = now;
  }

  take(now: Instant): void {
    if (now - this.#windowStart > 1_000) {
      this.#windowStart = now;
      this.#count = 0;
    }
    if (++this.#count > MAX_CONTROL_FRAMES) {
      throw new SdkError("ConnectionClosedError", "Too many consecutive control frames received");
    }
  }
}

function isSdkError(error: unknown, ...names: readonly SdkError["name"][]): boolean {
  return error instanceof SdkError && names.includes(error.name);
}
