import type { Breach, CloseReason, Limits, Transcript } from "@usmp/protocol";
import type { Move, Peer, RekeySettings, ServerStatistics, SessionStatistics } from "../api.ts";
import type { SocketSource } from "./own-sockets.ts";

/**
 * What the process that listens and its workers say to each other, over one socket pair each. Messages, and what goes with each of
 * them, are two numbers and bytes; keys are laid out in keys-record.ts; all else is a value.
 */
export const Kind = {
  /** Worker: session, -, a message that came. */
  message: 1,
  /** Parent: session, request, a message to send. */
  send: 2,
  /** Worker: session, request: the message was sent. */
  sent: 3,
  /** Parent: session, bytes: so much may come again. */
  credit: 4,
  /** Parent: the keys of a device, or the one key for all. */
  keys: 5,
  /** Parent: the secrets of cookies: current(32), previous(32). */
  cookies: 6,
  /** Both: a value, ToWorker or FromWorker. */
  value: 7,
  /** Worker to worker: a datagram for the other. */
  datagram: 8,
  /** Worker to worker: what comes from this address is for me. */
  claim: 9,
  /** Parent: session, messages: so many more of those that were handed over are safe. */
  accept: 10,
} as const;

export interface WorkerStart {
  readonly index: number;
  readonly count: number;
  readonly tcp: { readonly host: string | undefined; readonly port: number } | undefined;
  readonly udp: { readonly host: string | undefined; readonly port: number } | undefined;
  /** What a server's options are, without what cannot cross: functions, keys. Limits are the whole server's. */
  readonly settings: WorkerSettings;
  readonly limits: Limits;
  /** True: keys are asked for, device by device; else one key for all comes before this. */
  readonly asksForKeys: boolean;
  /** True: how a session rekeys comes with its device's keys. */
  readonly dynamicRekey: boolean;
  readonly sockets: SocketSource;
  /** Sessions that this worker may hold at first. */
  readonly sessions: number;
  /** Bytes of messages that may be under way to, or unread in, the parent: per session. */
  readonly window: number;
  readonly application: ApplicationModule | undefined;
  /** Names which worker a session id belongs to; not a session's secret. */
  readonly routingKey: Uint8Array;
  /** Where workers reach each other; undefined: there is no need. */
  readonly mesh: string | undefined;
}

export interface WorkerSettings {
  readonly handshakeTimeoutMs?: number | undefined;
  readonly keepaliveMs?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  readonly development?: boolean | undefined;
  readonly ownDeviceIds?: readonly string[] | undefined;
  /** Undefined when it comes with a device's keys. */
  readonly rekey?: RekeySettings | undefined;
  readonly receiveBufferBytes: number;
  readonly acknowledge: "received" | "accepted";
}

/** Code that runs in each worker, for each of its sessions. */
export interface ApplicationModule {
  /** A file: URL or a package name, as import() takes it. */
  readonly module: string;
  readonly data: unknown;
}

/** A device that proved itself, and the source (sourceOf) where it did. */
export interface ProvenPair {
  readonly deviceId: string;
  readonly host: string;
}

export type SessionVerb = "ping" | "confirm" | "rekey" | "close" | "statistics";

export type ToWorker =
  | { readonly type: "start"; readonly start: WorkerStart }
  | { readonly type: "no-keys"; readonly request: number; readonly problem: string | undefined }
  | { readonly type: "rekeying"; readonly deviceId: string; readonly rekey: RekeySettings }
  | { readonly type: "ask"; readonly session: number; readonly request: number; readonly verb: SessionVerb }
  | { readonly type: "end"; readonly session: number; readonly reason: CloseReason }
  | { readonly type: "abort"; readonly session: number }
  | { readonly type: "proven-pairs"; readonly pairs: readonly ProvenPair[] }
  /** More sessions are allowed; `fits` answers a question about a device: it replaces its one session, wherever that is. */
  | { readonly type: "grant"; readonly sessions: number; readonly request: number | undefined; readonly fits: boolean }
  | { readonly type: "give"; readonly most: number; readonly request: number }
  | { readonly type: "peers"; readonly peers: readonly { readonly index: number; readonly path: string }[] }
  | { readonly type: "close" };

/** What a worker says. */
export type FromWorker =
  | { readonly type: "listening"; readonly addresses: readonly Peer[] }
  | { readonly type: "statistics"; readonly statistics: ServerStatistics }
  | {
      readonly type: "session";
      readonly session: number;
      readonly deviceId: string;
      readonly sessionId: string;
      readonly peer: Peer;
      readonly keyLabel: number | undefined;
    }
  | SessionRecord
  | SlotRecord;

/** Of a session, after its beginning. */
export type SessionRecord =
  | { readonly type: "proven"; readonly session: number }
  | { readonly type: "moved"; readonly session: number; readonly move: Move; readonly peer: Peer }
  | {
      readonly type: "closed";
      readonly session: number;
      readonly reason: CloseReason;
      readonly breach: Breach | undefined;
      readonly statistics: SessionStatistics;
      readonly peer: Peer;
    }
  /** All of its messages were handed over. */
  | { readonly type: "finished"; readonly session: number }
  | { readonly type: "unsent"; readonly session: number; readonly request: number; readonly known: boolean }
  | {
      readonly type: "answer";
      readonly session: number;
      readonly request: number;
      /** Milliseconds for "ping"; undefined: it did not come about, because the session ended. */
      readonly value: number | SessionStatistics | true | undefined;
    };

/** Of the worker itself: for the server that it is part of. */
export type SlotRecord =
  | { readonly type: "failed"; readonly error: "usage" | "listen"; readonly message: string }
  | { readonly type: "keys"; readonly request: number; readonly deviceId: string; readonly peer: Peer }
  | { readonly type: "refused"; readonly refusal: RefusalRecord }
  | { readonly type: "want"; readonly request: number | undefined; readonly deviceId: string | undefined }
  | { readonly type: "gave"; readonly sessions: number; readonly request: number };

/** A Refusal whose proof is laid open: it crosses this socket pair alone, and is wiped at both ends. */
export interface RefusalRecord {
  readonly peer: Peer;
  readonly claimedDeviceId: string | undefined;
  readonly reason: CloseReason | { readonly code: "lookup-failed"; readonly message: string };
  readonly tried: { readonly proof: Uint8Array; readonly transcript: Transcript } | undefined;
  readonly breach: Breach | undefined;
}
