import {
  addMs,
  constants,
  constantTimeEqual,
  encodeFrame,
  encodeSealedUtack,
  encodeUtack,
  type FrameType,
  type Instant,
  looksLikeUtack,
  type TrafficKeys,
} from "@usmp/protocol";
import { checkSdkHeader, decodeSdkFrame, SdkError, type SdkFrame } from "./frames.ts";
import type { Task } from "./tasks.ts";

/** The SDK's transport as its session sees it. */
export abstract class SdkStream {
  abstract readonly reliable: boolean;
  closed = false;
  protected buffer: Uint8Array = new Uint8Array(0);

  /** Sends one frame; over UDP it comes back when the frame was acknowledged, or raises OSError. */
  abstract writeFrame(type: FrameType, payload: Uint8Array, seq: number): Task<void>;
  abstract setSessionKeys(keys: TrafficKeys): void;
  abstract confirmAuthenticated(seq: number): void;
  abstract close(): void;

  /** F8: a reader that is cancelled between header and payload has taken the header away. */
  *readFrame(verifyCrc = true): Task<SdkFrame> {
    const header = yield* this.#readExactly(HEADER_LENGTH);
    const length = checkSdkHeader(header);
    const payload = length > 0 ? yield* this.#readExactly(length) : new Uint8Array(0);
    return decodeSdkFrame(Buffer.concat([header, payload]), verifyCrc);
  }

  *#readExactly(count: number): Task<Uint8Array> {
    while (this.buffer.length < count) {
      if (this.closed) throw new SdkError("IncompleteReadError", `${this.buffer.length} bytes read of ${count}`);
      const before = this.buffer.length;
      yield { ready: () => this.closed || this.buffer.length > before };
    }
    const bytes = this.buffer.slice(0, count);
    this.buffer = this.buffer.slice(count);
    return bytes;
  }
}

/** Unauthenticated bytes that wait for the session (F6, F10: acknowledged all the same). */
const MAX_READ_BUFFER = 4096;
const MAX_SENDS = 5;
const STALE_AFTER = 64;
const { HEADER_LENGTH } = constants;
const UTACK_LENGTH = constants.UTACK_LENGTH + constants.UTACK_MAC_LENGTH;
const FIRST_SESSION_TYPE = 5;
const HELLO_RETRY = 0x0a;

/** UDPStream: stop and wait, and a UTACK for whatever arrives. */
export class SdkUdpStream extends SdkStream {
  override readonly reliable = false;
  readonly #isServer: boolean;
  readonly #sendTo: (bytes: Uint8Array) => void;
  readonly #now: () => Instant;
  #lastSeq = -1;
  #lastType = -1;
  #pending: { readonly type: number; readonly seq: number } | undefined;
  #acknowledged = false;
  #keys: TrafficKeys | undefined;
  /** Milliseconds. */
  #smoothed = 200;
  #variation = 100;
  #timeout = 500;

  constructor(isServer: boolean, sendTo: (bytes: Uint8Array) => void, now: () => Instant) {
    super();
    this.#isServer = isServer;
    this.#sendTo = sendTo;
    this.#now = now;
  }

  override setSessionKeys(keys: TrafficKeys): void {
    this.#keys = keys;
  }

  /** F1: a rekey does not set this back. */
  override confirmAuthenticated(seq: number): void {
    this.#lastSeq = Math.max(this.#lastSeq, seq);
  }

  override close(): void {
    this.closed = true;
  }

  /** feed_packet(). */
  feed(data: Uint8Array): void {
    if (this.closed) return;
    if (data.length >= constants.UTACK_LENGTH && looksLikeUtack(data)) return this.#onUtack(data);
    if (data.length < HEADER_LENGTH || data[0] !== 0xcd || data[1] !== 0xab) return;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const length = view.getUint16(8, true);
    if (length > constants.MAX_PAYLOAD_LENGTH || data.length !== HEADER_LENGTH + length) return;
    const type = data[3] as number;
    const seq = view.getUint32(4, true);
    if (this.#discards(type, seq)) return this.#sendUtack(type, seq);
    if (this.buffer.length + data.length > MAX_READ_BUFFER) return;
    // F6: before anything was decrypted.
    this.#sendUtack(type, seq);
    this.buffer = Buffer.concat([this.buffer, data]);
  }

  override *writeFrame(type: FrameType, payload: Uint8Array, seq: number): Task<void> {
    if (this.closed) throw new SdkError("OSError", "Stream is closed");
    const frame = encodeFrame(type, seq, payload);
    this.#pending = { type, seq };
    this.#acknowledged = false;
    const first = this.#timeout;
    for (let attempt = 0; attempt < MAX_SENDS; attempt++) {
      const sentAt = this.#now();
      this.#sendTo(frame);
      const until = addMs(sentAt, Math.min(5_000, Math.max(50, first * 2 ** attempt)));
      if (!(yield { ready: () => this.#acknowledged, until })) continue;
      if (attempt === 0) this.#sample(this.#now() - sentAt);
      return;
    }
    throw new SdkError("OSError", `UDP transmission failed: no ACK of seq=${seq} type=${type}`);
  }

  #onUtack(data: Uint8Array): void {
    const type = data[2] as number;
    const seq = new DataView(data.buffer, data.byteOffset).getUint32(3, true);
    if (type >= FIRST_SESSION_TYPE) {
      if (data.length < UTACK_LENGTH || this.#keys === undefined) return;
      const mac = this.#keys.transmit.acknowledgementMac(data.subarray(0, constants.UTACK_LENGTH));
      if (!constantTimeEqual(mac, data.subarray(constants.UTACK_LENGTH, UTACK_LENGTH))) return;
    }
    if (seq === this.#pending?.seq && type === this.#pending.type) this.#acknowledged = true;
  }

  /** Handshake types are known by the last one only, session frames by how far they lie behind. */
  #discards(type: number, seq: number): boolean {
    if (type >= FIRST_SESSION_TYPE && type !== HELLO_RETRY) {
      return this.#lastSeq !== -1 && seq <= this.#lastSeq - STALE_AFTER;
    }
    const last = this.#lastType;
    const duplicate =
      type === last ||
      (type === HELLO_RETRY && last !== -1) ||
      (type === 2 && last === 4) ||
      (this.#isServer && last !== -1 && type <= last);
    if (!duplicate) this.#lastType = type;
    return duplicate;
  }

  #sendUtack(type: number, seq: number): void {
    const keys = this.#keys;
    const sealed = type >= FIRST_SESSION_TYPE && keys !== undefined;
    this.#sendTo(
      sealed
        ? encodeSealedUtack(type, seq, (message) => keys.receive.acknowledgementMac(message))
        : encodeUtack(type, seq),
    );
  }

  /** RFC 6298's shape with the SDK's own order: the variation first, against the old average. */
  #sample(roundTripMs: number): void {
    const error = roundTripMs - this.#smoothed;
    this.#variation += 0.25 * (Math.abs(error) - this.#variation);
    this.#smoothed += 0.125 * error;
    this.#timeout = Math.max(100, Math.min(5_000, this.#smoothed + 4 * this.#variation));
  }
}

/** TCPTransport. */
export class SdkTcpStream extends SdkStream {
  override readonly reliable = true;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #end: () => void;
  #ended = false;

  constructor(send: (bytes: Uint8Array) => void, end: () => void) {
    super();
    this.#send = send;
    this.#end = end;
  }

  feed(bytes: Uint8Array): void {
    if (!this.closed) this.buffer = Buffer.concat([this.buffer, bytes]);
  }

  /** The peer has ended; what came before is still read. */
  feedEnd(): void {
    this.closed = true;
  }

  // biome-ignore lint/correctness/useYield: as the other transport's, which waits
  override *writeFrame(type: FrameType, payload: Uint8Array, seq: number): Task<void> {
    if (!this.#ended) this.#send(encodeFrame(type, seq, payload));
  }

  override setSessionKeys(): void {}
  override confirmAuthenticated(): void {}

  override close(): void {
    this.closed = true;
    if (this.#ended) return;
    this.#ended = true;
    this.#end();
  }
}
