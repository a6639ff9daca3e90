import type { ConnectOptions, Peer, Session, WaitOptions } from "../api.ts";
import type { UsmpError } from "../errors.ts";

/** What connect() makes a link from. `signal` ends the link. */
export interface LinkOptions extends Omit<ConnectOptions, "reconnect"> {
  /** True: all defaults. */
  readonly reconnect: true | ReconnectOptions;
}

/** How a link comes back, and what becomes of messages meanwhile. Durations are milliseconds; docs/reconnect.md has the reasons. */
export interface ReconnectOptions {
  readonly backoff?: BackoffOptions | undefined;
  /** A session that lasted so long proves that the way is good: the next wait is short again. Default 30,000. */
  readonly stableAfterMs?: number | undefined;
  /**
   * A session whose peer leaves a PING or a message unanswered for so long is given up. Half-way a PING asks once more. Default 15,000.
   * Raise it towards a peer that answers no PING while its application is busy (TCP servers of the field's SDK).
   */
  readonly deadAfterMs?: number | undefined;
  /** When to stop trying. Default: never. */
  readonly giveUpAfter?: GiveUpOptions | undefined;
  readonly outbox?: OutboxOptions | undefined;
  /**
   * Sends messages of unknown fate again, before those behind them: each arrives at least once, perhaps twice. Default false: at most
   * once, and the application is told which are unknown.
   */
  readonly resendUnknown?: boolean | undefined;
  /**
   * TCP: "delivered" means that a PING behind the message was answered, so that the peer has taken it. False: it means that this host's
   * kernel has taken it, which says nothing about the peer. Default true. UDP acknowledges every frame in any case.
   */
  readonly confirm?: boolean | undefined;
  /** What tells the link that trying now is worth it; false: nothing. Default: networkChanges(). */
  readonly wake?: false | WakeSource | readonly WakeSource[] | undefined;
  /** Hears each state as it begins; an alternative to states(). */
  readonly onState?: ((state: LinkState) => void) | undefined;
}

/**
 * Full jitter: the n-th wait is a random time from 0 to min(maxMs, initialMs * factor^n). So a crowd whose server restarts comes back
 * at no more than about crowd / initialMs, and all of it within maxMs of the server's return.
 */
export interface BackoffOptions {
  /** Default 5,000: a thousand clients then come at about 200 a second. */
  readonly initialMs?: number | undefined;
  /** Default 30,000. */
  readonly maxMs?: number | undefined;
  /** Default 2. */
  readonly factor?: number | undefined;
  /** Instead of maxMs after an attempt that looks like a wrong key: waiting mends none, and each try costs the server. Default 300,000. */
  readonly refusedMaxMs?: number | undefined;
}

/** Any one of them is enough. */
export interface GiveUpOptions {
  /** So many attempts in a row without a session. */
  readonly attempts?: number | undefined;
  /** So long without a session. Looked at after each failed attempt. */
  readonly ms?: number | undefined;
  /** So many attempts in a row that looked like a wrong key. */
  readonly refusals?: number | undefined;
}

export interface OutboxOptions {
  /** Messages that wait or are under way, at most. Default 1,000. */
  readonly messages?: number | undefined;
  /** Their bytes, at most. Default 262,144. */
  readonly bytes?: number | undefined;
  /**
   * What gives way when a message finds no place: the oldest that waits, the new one, or send() throws OutboxFullError. Messages under
   * way never do. Default "drop-oldest": of readings the latest is worth most, and a full outbox must not end a device's program.
   */
  readonly whenFull?: "drop-oldest" | "drop-newest" | "refuse" | undefined;
}

/** A reason to try now. */
export interface Wake {
  /** For logs: "network-changed", "announced". */
  readonly reason: string;
  /**
   * Tries within so many milliseconds, at random, instead of at once. For news that many hear in the same moment, such as an mDNS
   * announcement of the server: crowd / spreadMs is the rate at which they come.
   */
  readonly spreadMs?: number | undefined;
}
export type WakeSource = AsyncIterable<Wake>;

/** What a link does. Each change is a new object; `since` and `retryAt` are moments of the link's clock, in milliseconds. */
export type LinkState =
  | {
      readonly name: "connecting";
      readonly since: number;
      /** Counts from 1 since the last session. */
      readonly attempt: number;
    }
  | { readonly name: "connected"; readonly since: number; readonly session: Session }
  | {
      readonly name: "waiting";
      readonly since: number;
      readonly retryAt: number;
      readonly retryInMs: number;
      /** Why there is no session: the last attempt's ConnectError, or the SessionClosedError of the session that ended. */
      readonly error: UsmpError;
    }
  | { readonly name: "closed"; readonly since: number; readonly end: LinkEnd };

/** Why a link ended. */
export type LinkEnd =
  | { readonly code: "closed-locally" }
  | { readonly code: "aborted" }
  /** One of `giveUpAfter` was reached; the last error. */
  | { readonly code: "gave-up"; readonly error: UsmpError }
  /** What no later attempt could better: the Secret was wiped, say. */
  | { readonly code: "failed"; readonly error: Error };

/** One message on its way. */
export interface Delivery {
  /** Counts the link's messages from 0. */
  readonly id: number;
  /** "waiting" for its turn or a session, "under-way", or its fate. */
  readonly state: "waiting" | "under-way" | Fate["fate"];
  /** Sessions that it was handed to; more than one only where nothing had left, or with `resendUnknown`. */
  readonly tries: number;
  /** Resolves once with what became of it; never rejects. */
  readonly outcome: Promise<Fate>;
}

/** What became of a message. */
export type Fate =
  /** The peer has it: it acknowledged every frame (UDP), or answered a PING behind it (TCP, see `confirm`). */
  | { readonly fate: "delivered"; readonly sessionId: string }
  /** It had begun to leave when its session ended: it may or may not have arrived. */
  | { readonly fate: "unknown"; readonly sessionId: string; readonly error: UsmpError }
  /** Nothing of it arrived, and it will not be sent. */
  | { readonly fate: "dropped"; readonly cause: DropReason };

export type DropReason =
  /** It gave way, or found no place (see OutboxOptions). */
  | "outbox-full"
  /** Its signal gave it up while it waited. */
  | "aborted"
  /** The link ended first. */
  | "link-closed";

/** Counters since the link began. */
export interface LinkStatistics {
  readonly attempts: number;
  readonly sessions: number;
  /** Attempts that failed, by the code of their ConnectError. */
  readonly failures: Readonly<Record<string, number>>;
  /** Sessions that ended, by the code of their reason. */
  readonly ends: Readonly<Record<string, number>>;
  /** Wakes heard, and sources that failed. */
  readonly wakes: number;
  readonly wakeFailures: number;
  readonly delivered: number;
  readonly unknown: number;
  /** Messages handed to another session although they might have arrived (`resendUnknown`). */
  readonly resent: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** send() calls that threw OutboxFullError. */
  readonly refused: number;
  /** Messages received over all sessions. */
  readonly received: number;
  /** Now: messages without a fate, and their bytes. */
  readonly pending: number;
  readonly pendingBytes: number;
}

/**
 * A connection that outlives its sessions: an async iterable of the messages of all of them, that also sends. Every session is a full
 * handshake with fresh keys (P8: there is no resumption). It keeps the process alive until it is closed, as an open socket does.
 */
export interface Link extends AsyncIterable<Uint8Array> {
  readonly deviceId: string;
  /** Where it connects to, as given. */
  readonly target: Peer;
  readonly state: LinkState;
  /** The session of now; undefined between two. */
  readonly session: Session | undefined;
  readonly statistics: LinkStatistics;
  /** Resolves when the link has ended; never rejects. */
  readonly closed: Promise<LinkEnd>;

  /**
   * Takes a copy of a message of at most 1,808 bytes; a string goes as UTF-8. In order, also across sessions. `signal` gives it up while
   * it waits. Throws UsageError "message-too-long"; OutboxFullError with `whenFull: "refuse"`; LinkClosedError.
   */
  send(message: Uint8Array | string, options?: WaitOptions): Delivery;
  /** The next message, or undefined once the link has ended and everything received was read. */
  receive(options?: WaitOptions): Promise<Uint8Array | undefined>;
  /** The state of now, then each as it begins; ends with "closed". Whoever reads slowly misses old ones, never the latest. */
  states(): AsyncIterable<LinkState>;
  /** Resolves with the session of now, or the next. Rejects with LinkClosedError. */
  connected(options?: WaitOptions): Promise<Session>;
  /** Resolves when every message so far has its fate. */
  flushed(options?: WaitOptions): Promise<void>;
  /**
   * Tries now instead of later; an attempt that is under way for more than a second begins anew; a session is asked for a sign of life.
   * Attempts stay a second apart.
   */
  reconnectNow(): void;
  /** Sends what waits if there is a session, says BYE, and ends; bounded by two seconds. Idempotent. */
  close(): Promise<LinkEnd>;
  /** Ends at once, without BYE. Idempotent. */
  abort(): void;
  [Symbol.asyncDispose](): Promise<void>;
}
