import type { Violation } from "../errors.ts";

/** What a connection has done since it began. Plain numbers; read at any time. */
export class Counters {
  framesSent = 0;
  framesReceived = 0;
  bytesSent = 0;
  bytesReceived = 0;
  messagesSent = 0;
  messagesReceived = 0;
  retransmissions = 0;
  #dropped: Map<DropCause, number> | undefined;

  drop(cause: DropCause): void {
    this.#dropped ??= new Map();
    this.#dropped.set(cause, this.dropped(cause) + 1);
  }

  dropped(cause: DropCause): number {
    return this.#dropped?.get(cause) ?? 0;
  }

  /** Dropped frames by cause; only causes that happened. */
  get drops(): ReadonlyMap<DropCause, number> {
    return this.#dropped ?? NONE;
  }
}

/** Why a frame had no effect. */
export type DropCause =
  | Violation
  /** ERROR frames carry no authentication: they change nothing (spec section 2). */
  | "error-frame"
  /** A UTACK that acknowledges nothing that waits, or whose MAC is not ours. */
  | "unmatched-utack"
  /** Authentic, but the application has not read what came before: not acknowledged, so it comes again. */
  | "receiver-full"
  /** Authentic, of an epoch that a rekey has left behind. */
  | "stale-epoch"
  /** A proof that was not looked at, because too many wrong ones came just before. */
  | "proof-budget"
  /** A CHALLENGE beyond the number that a client answers. */
  | "too-many-challenges"
  /** No session and no handshake belongs to it. */
  | "no-session"
  /** A HELLO without cookie beyond what the server answers in a second. */
  | "cookie-limited"
  /** A HELLO whose cookie was good, beyond what its source may begin. */
  | "rate-limited";

const NONE: ReadonlyMap<DropCause, number> = new Map();
