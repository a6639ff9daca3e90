import type { Breach, CloseReason, CryptoProvider, Limits, ProofTrial, RekeyPolicy, Secret } from "@usmp/protocol";
import type { Clock } from "./clock.ts";

/** A pre-shared key: 16 bytes or more. A Secret stays yours to wipe; of plain bytes the library takes a copy and wipes that. */
export type Psk = Uint8Array | Secret;

/**
 * Finds the keys of a device. May answer at once or later, with one key, several candidates (the first that proves wins; at most
 * four are tried), or none (undefined or []). From outside, "none" looks like a wrong key. An error counts as none and is
 * reported as a refusal with cause "lookup-failed".
 */
export type PskLookup = (deviceId: string, peer: Peer) => PskAnswer | Promise<PskAnswer>;
export type PskAnswer = Psk | LabelledPsk | readonly (Psk | LabelledPsk)[] | undefined;

/** A candidate key with a number by which Session.keyLabel tells that it was proven. Its Secret becomes the library's, which wipes it. */
export interface LabelledPsk {
  readonly psk: Secret;
  readonly label: number;
}

export type TransportName = "tcp" | "udp";

/** The other end as the network shows it. */
export interface Peer {
  readonly transport: TransportName;
  readonly host: string;
  readonly port: number;
}

/** Everything that waits takes one of these; giving up a wait loses no message. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Settings that both ends share. Durations are milliseconds. */
export interface SessionSettings {
  /** The whole handshake's deadline. Default 10,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** A side that has sent nothing for so long sends PING. Default 30,000. */
  readonly keepaliveMs?: number | undefined;
  /** A session that has received nothing authentic for so long ends. Default 60,000. */
  readonly idleTimeoutMs?: number | undefined;
  /** Bytes of received messages that may wait unread before the peer is held back. Default 262,144. */
  readonly receiveBufferBytes?: number | undefined;
  /** Lets the well-known development key in. For a bench, never for production (P7). */
  readonly development?: boolean | undefined;
  /** Cryptography to use; default: the native addon where it is built, else node:crypto (docs/native.md). */
  readonly crypto?: CryptoProvider | undefined;
  /** Time to live by; default: the process's monotonic clock. Tests pass a virtual one. */
  readonly clock?: Clock | undefined;
}

/** When the keys of an epoch have served long enough, whichever comes first, and what is done then. See docs/rekey.md. */
export interface RekeySettings {
  /** Frames, both directions together. Default and most: 2^28. */
  readonly afterFrames?: number | undefined;
  /** Bytes of frames, both directions together. Default and most: 2^36. */
  readonly afterBytes?: number | undefined;
  /** Milliseconds. Default a day, most a month. */
  readonly afterMs?: number | undefined;
  /**
   * "own" (default): a REKEY if the peer has shown to be of this implementation, which is possible over UDP; else the session ends with
   * BYE, reason "key-expired", for a new one. "quiet": over TCP also a REKEY with any peer, in a moment without traffic. "always": a REKEY,
   * for peers that are known to bear it. "never": BYE.
   */
  readonly policy?: RekeyPolicy | undefined;
}

export interface ConnectOptions extends SessionSettings, WaitOptions {
  readonly rekey?: RekeySettings | undefined;
  readonly host: string;
  readonly port: number;
  /** Default "tcp". */
  readonly transport?: TransportName | undefined;
  readonly psk: Psk;
  /** Six bytes, or "aa:bb:cc:dd:ee:ff"; default: random. */
  readonly deviceId?: string | Uint8Array | undefined;
  /** A link that outlives sessions instead of one session: see LinkOptions. */
  readonly reconnect?: false | undefined;
}

/** Where to listen: a port on all interfaces, "host:port", or both apart. Port 0 asks for a free one. */
export type ListenAddress = number | string | { readonly host?: string | undefined; readonly port: number };

export interface ListenOptions extends SessionSettings {
  /**
   * What devices are told. "received" (default): UDP frames are acknowledged when their message has its place in the session. "accepted": only
   * once the application has called Session.accept() for the message, because it is safe then; on TCP, where a message has no acknowledgement,
   * the PONG to a PING that came behind it waits for that. Messages that were read and not accepted count as unread, so that a device waits as
   * soon as `receiveBufferBytes` are full. See docs/durable.md.
   */
  readonly acknowledge?: "received" | "accepted" | undefined;
  readonly tcp?: ListenAddress | undefined;
  readonly udp?: ListenAddress | undefined;
  readonly psk: Psk | PskLookup;
  /** For all sessions, or device by device. */
  readonly rekey?: RekeySettings | ((deviceId: string) => RekeySettings) | undefined;
  /** Called when a UDP session's peer is at another address, and again when that address has shown that it hears us. */
  readonly onMoved?: ((session: Session, move: Move) => void) | undefined;
  /** Called with each session as it is established; an alternative to iterating the server. */
  readonly onSession?: ((session: Session) => void) | undefined;
  /** Called with each attempt that did not become a session, and why; at most `limits.reportedRefusalsPerSecond` times a second. */
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  /** This host's own ids, when it is also a client with one of these keys: their HELLOs are reflections and are refused. */
  readonly ownDeviceIds?: readonly (string | Uint8Array)[] | undefined;
  /**
   * So many processes share the port, and the work; 1 to 64. Sessions then live in those, and what this server gives out stands for them: see
   * docs/workers.md. Default: none, all in this process.
   */
  readonly workers?: number | undefined;
  /** With `workers`: code that runs beside each session, in its worker. Default: every message is handed to this process. */
  readonly application?: WorkerApplication | undefined;
  /** With `workers`: hears of a worker process that has begun or ended. */
  readonly onWorker?: ((event: WorkerEvent) => void) | undefined;
  /** What others may cost this server; docs/limits.md has each limit's default, and its reason. */
  readonly limits?: ListenLimits | undefined;
}

/** A module whose default export, a SessionHandler, is called in a worker with each session that begins there. */
export interface WorkerApplication {
  /** A file: URL, or a package's name: as import() takes it. */
  readonly module: string | URL;
  /** Handed to each call, by structured clone. */
  readonly data?: unknown;
}

/** Takes a session in its worker and reads its messages. What it throws or rejects with ends the session. */
export type SessionHandler = (session: Session, context: SessionHandlerContext) => void | Promise<void>;

export interface SessionHandlerContext {
  readonly data: unknown;
  /** Hands a message to the process that listens, as the session's next there. Resolves when that has room for more. */
  relay(message: Uint8Array): Promise<void>;
}

export type WorkerEvent =
  | { readonly type: "started"; readonly worker: number; readonly pid: number }
  /** It ended by itself, and `lostSessions` with it. It comes back after `restartInMs`. */
  | {
      readonly type: "ended";
      readonly worker: number;
      readonly pid: number;
      readonly cause: string;
      readonly lostSessions: number;
      readonly restartInMs: number;
    };

/** A UDP session follows its peer: an authentic, fresh frame came from `to`. */
export interface Move {
  readonly from: Peer;
  readonly to: Peer;
  /**
   * False at first: whoever overhears a frame may bring it from an address of its own, so only a PING goes there. True once it was
   * answered from there. An address that stays silent is given up for the one before, which is a move as well, and a proven one.
   */
  readonly proven: boolean;
}
/** Limits to change; the rest keep their defaults. */
export type ListenLimits = { readonly [Key in keyof Limits]?: number | undefined };

/** An attempt that ended before a session: for logs and for `why`. It shows no proof, no key, no transcript, however it is printed. */
export interface Refusal {
  readonly peer: Peer;
  /** As claimed in HELLO, not proven; undefined when no HELLO came. */
  readonly claimedDeviceId: string | undefined;
  readonly reason: CloseReason | { readonly code: "lookup-failed"; readonly message: string };
  /** With "wrong-key" alone: whether a key of the owner's, in a wrong form perhaps, made the proof. Yours to wipe when you are done. */
  readonly proof?: ProofTrial | undefined;
  /** With "protocol-violation": where. */
  readonly breach?: Breach | undefined;
}

/** What Session.onMessage calls; a promise holds the next message back. */
export type MessageHandler = (message: Uint8Array) => Promise<void> | undefined | void;

/** An established session: an async iterable of its messages that also sends. It runs by itself, read or not. */
export interface Session extends AsyncIterable<Uint8Array> {
  readonly deviceId: string;
  /** 32 hex digits. */
  readonly sessionId: string;
  /** Follows the peer when a UDP session moves. */
  readonly peer: Peer;
  readonly transport: TransportName;
  /** Resolves with the reason when the session has ended; never rejects. */
  readonly closed: Promise<CloseReason>;
  /** False once the session has ended. */
  readonly open: boolean;
  /** Server: resolves true when the peer has shown that it holds the keys, false when the session ended before. Client: true. */
  readonly proven: Promise<boolean>;
  readonly statistics: SessionStatistics;
  /** Server: the label of the key that was proven, when the look-up gave labels. */
  readonly keyLabel: number | undefined;
  /** Where the peer broke the protocol, once the session has ended for that. */
  readonly breach: Breach | undefined;

  /**
   * Sends one message of at most 1,808 bytes; a string goes as UTF-8. TCP: resolves when the transport has taken it, which waits
   * while the peer does not read. UDP: resolves when the peer has acknowledged all of it.
   * Rejects: UsageError "message-too-long"; SessionClosedError (nothing left); DeliveryUnknownError (it left, no answer);
   * AbortError, when `signal` gave up the wait: a message whose sending had begun is still delivered.
   */
  send(message: Uint8Array | string, options?: WaitOptions): Promise<void>;
  /**
   * Called with each message, the ones that came before included. A message is a view into memory that other messages share: copy it before its
   * `buffer` is looked at, transferred, or kept for long. This is what costs the least, for a server with many sessions. While a promise
   * that it answered is not settled, the next message waits, and the peer with it when too many do. What it throws is an uncaught
   * exception, what it rejects with an unhandled rejection, but for a send() that the session's end cut short: `closed` tells of that. While it is set,
   * messages are neither iterated nor received.
   */
  onMessage: MessageHandler | undefined;
  /** The next message, or undefined once the session has ended and everything received was read. */
  receive(options?: WaitOptions): Promise<Uint8Array | undefined>;
  /**
   * With `acknowledge: "accepted"`: the oldest `messages` (default 1) of those that were read and not accepted yet are safe, and the peer may know.
   * Otherwise, and after the end, it does nothing. Throws UsageError "invalid-option" for more than were read.
   */
  accept(messages?: number): void;
  /**
   * Resolves when the peer has shown that it took every message whose send() had resolved before: over TCP with the PONG to a PING that
   * left behind them, over UDP at once, since send() waited for that. Several waits share a PING. Rejects DeliveryUnknownError when the
   * session ends first, or had ended.
   */
  confirm(options?: WaitOptions): Promise<void>;
  /** Resolves with the round trip in milliseconds. */
  ping(options?: WaitOptions): Promise<number>;
  /** Begins a new epoch. Resolves when the transport has taken the REKEY (TCP) or the peer has acknowledged it (UDP). */
  rekey(options?: WaitOptions): Promise<void>;
  /** Sends what waits and BYE, then ends. Resolves when the session has ended; bounded by one second. Idempotent. */
  close(): Promise<CloseReason>;
  /** Ends at once, without BYE. Idempotent. */
  abort(): void;
  /**
   * Ends at once with one BYE, whose arrival is not awaited: the peer is not wanted any more. What waits to be sent is not sent, and
   * what came and was not read is not given out. `closed` resolves with "dismissed" and `cause`. Idempotent.
   */
  dismiss(cause: string): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Counters since the session began. */
export interface SessionStatistics {
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly retransmissions: number;
  /** Frames dropped, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Current epoch: 0, and one more for each REKEY. */
  readonly epoch: number;
  /** Smoothed round trip in milliseconds; undefined before the first sample. */
  readonly roundTripMs: number | undefined;
}

/** A listening server: an async iterable of its new sessions. */
export interface Server extends AsyncIterable<Session> {
  /** Where it really listens, ports included. */
  readonly addresses: readonly Peer[];
  readonly sessions: ReadonlySet<Session>;
  readonly statistics: ServerStatistics;
  readonly closed: Promise<void>;
  /** Stops accepting, says BYE to every session and ends them; bounded by one second (five with thousands of sessions). */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ServerStatistics {
  readonly sessionsEstablished: number;
  readonly sessionsOpen: number;
  readonly handshakesOpen: number;
  /** Pairs of device and address that are remembered as proven. */
  readonly provenPairs: number;
  /** Refusals that onRefused was not told of, because there were too many at once. */
  readonly refusalsUnreported: number;
  /** Attempts refused, by close reason code, authentication cause, or "lookup-timeout" and "lookup-failed". */
  readonly refused: Readonly<Record<string, number>>;
  /** Datagrams dropped before they reached a session, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
}
