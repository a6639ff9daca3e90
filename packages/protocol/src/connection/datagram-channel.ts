import { RttEstimator } from "../recovery/rtt.ts";
import type { Instant } from "../time.ts";
import { encodeFrame, type Frame, type FrameType } from "../wire/frame.ts";
import { encodeUtack, type Utack } from "../wire/utack.ts";
import { Connection } from "./connection.ts";
import type { DropCause } from "./counters.ts";
import type { Address } from "./events.ts";

/** One datagram to send: exactly one frame or one UTACK. */
export interface Datagram {
  readonly data: Uint8Array;
  readonly to: Address;
}

/**
 * What a connection over datagrams sends, to whom, and what its two roles do each in their own way: the handshake, and whether the
 * peer's address is followed.
 */
export abstract class DatagramChannel extends Connection {
  protected readonly rtt: RttEstimator = new RttEstimator();
  readonly #outbox: Datagram[] = [];

  /** Where the peer is; a server's session follows it. */
  abstract get address(): Address;

  /** A datagram's acknowledgement falls due soon after its sending. */
  override get timeoutMoved(): true {
    return true;
  }

  get roundTripMs(): number | undefined {
    return this.rtt.smoothed;
  }

  /** The next datagram to send. */
  pollTransmit(): Datagram | undefined {
    return this.#outbox.shift();
  }

  /** Takes HELLO, CHALLENGE, HELLO_ACK, SESSION_OK or HELLO_RETRY: in any state, as late copies come. */
  protected abstract handleHandshakeFrame(frame: Frame, from: Address, now: Instant): void;
  /** Takes the plaintext UTACK of a handshake frame; false when it acknowledges nothing. */
  protected abstract handleHandshakeUtack(utack: Utack, now: Instant): boolean;
  protected abstract handleHandshakeTimeout(now: Instant): void;
  protected abstract handshakeTimeout(): Instant | undefined;
  /** False while session frames must wait for the handshake's last acknowledgement. */
  protected abstract get confirmed(): boolean;
  /** An authentic session frame, or UTACK, of so many bytes came from there. */
  protected abstract onAuthentic(from: Address, bytes: number, now: Instant): void;
  /** A session frame of ours was acknowledged from the peer's address; true when that proves the address. */
  protected abstract onAcknowledged(seq: number): boolean;
  /** False while the peer's address has not shown that it hears us: a PING goes there, and nothing larger. */
  protected abstract get pathProven(): boolean;
  /** Counts bytes that would go to the peer; false when its address has not proven itself enough for them. */
  protected abstract mayTransmit(bytes: number): boolean;
  /** An authentic frame, fresh and the newest of all, came from there. `probeSeq`: what proves the address when it is acknowledged. */
  protected abstract onNewest(from: Address, probeSeq: number, now: Instant): void;
  /** The same, but it had no place and will come again: as a copy, for all we can tell then. */
  protected abstract onNewestDeclined(from: Address, probeSeq: number, now: Instant): void;
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
    this.transmitFrame(frame, false, now);
    return frame;
  }

  protected resendPlain(frame: Uint8Array, now: Instant): void {
    this.transmitFrame(frame, true, now);
  }

  /** Acknowledges a handshake frame; its own seq is echoed (spec section 3). */
  protected acknowledgePlain(frame: Pick<Frame, "type" | "seq">, to: Address): void {
    this.transmit(encodeUtack(frame.type, frame.seq), to);
  }

  protected transmitSealed(frame: Uint8Array, again: boolean, now: Instant): void {
    if (!again) this.noteKeyUse(frame.length);
    // What may not leave is as good as lost: it comes again.
    if (this.mayTransmit(frame.length)) this.transmitFrame(frame, again, now);
  }

  protected transmitFrame(frame: Uint8Array, again: boolean, now: Instant): void {
    // Copies do not put the keepalive off: a peer follows us to a new address for fresh frames only, its PING among them.
    if (!again) this.lastSentAt = now;
    this.counters[again ? "retransmissions" : "framesSent"]++;
    this.transmit(frame, this.address);
  }

  protected transmit(data: Uint8Array, to: Address): void {
    this.counters.bytesSent += data.length;
    this.#outbox.push({ data, to });
  }
}
