import type { TrafficKeys } from "../crypto/provider.ts";
import type { Violation } from "../errors.ts";
import type { FrameType } from "../wire/frame.ts";
import type { KeyLimit } from "./key-life.ts";

/** Where a datagram peer is. The driver passes its own objects; the core compares keys and hands the objects back. */
export interface Address {
  readonly key: string;
  /** The IP address alone: whom a server's limits count it to. Default: the key. */
  readonly host?: string | undefined;
}

/** What a connection tells its driver. One union, meant for an exhaustive switch. */
export type ConnectionEvent =
  /** Server: HELLO named this device; answer with provideKeys(). CHALLENGE is already on its way, whatever the answer. */
  | { readonly type: "keys-needed"; readonly deviceId: Uint8Array }
  /** The handshake is done and both proofs were good. Messages may be sent. */
  | {
      readonly type: "established";
      readonly deviceId: Uint8Array;
      readonly sessionId: Uint8Array;
      /** Server: which of the provided candidate keys the peer proved. */
      readonly keyIndex: number;
    }
  /** Server, datagrams: the first proof of this handshake that was wrong. The handshake goes on: the true peer may still complete it. */
  | { readonly type: "proof-refused"; readonly cause: AuthenticationFailure }
  /** Server: the peer has shown that it holds the session's keys; only now may it replace an older session (spec section 3). */
  | { readonly type: "proven" }
  | { readonly type: "message"; readonly data: Uint8Array }
  /** Datagrams: every frame of the message `id` was acknowledged by an authentic UTACK. */
  | { readonly type: "acknowledged"; readonly id: number }
  | { readonly type: "pong"; readonly roundTripMs: number }
  /** A new epoch is in use for sending. */
  | { readonly type: "rekeyed"; readonly by: "us" | "peer"; readonly epoch: number }
  /**
   * Server, datagrams: an authentic, fresh frame came from another address; the session lives there now. `proven`: we have been there
   * before, or come back because the other stayed silent.
   */
  | { readonly type: "moved"; readonly from: Address; readonly to: Address; readonly proven: boolean }
  /** Server, datagrams: the address that the session moved to has shown that it hears us; only now does more than a PING go there. */
  | { readonly type: "path-proven"; readonly from: Address; readonly address: Address }
  /** The last event. All keys are wiped. */
  | { readonly type: "closed"; readonly reason: CloseReason; readonly undelivered: Undelivered };

/** Messages whose fate the close decides: ids as returned by send(). Empty on in-order transports. */
export interface Undelivered {
  /** Frames of these left, but no acknowledgement came: they may or may not have arrived. */
  readonly unknown: readonly number[];
  /** Of these, nothing was sent. */
  readonly unsent: readonly number[];
}

/** Why a connection ended. `code` is stable; docs/errors.md has a heading for each. */
export type CloseReason =
  | { readonly code: "closed-locally" }
  | { readonly code: "closed-by-peer" }
  | { readonly code: "aborted" }
  | { readonly code: "replaced" }
  | { readonly code: "dismissed"; readonly cause: string }
  | { readonly code: "evicted" }
  | { readonly code: "rate-limited" }
  | { readonly code: "server-full" }
  | { readonly code: "authentication-failed"; readonly cause: AuthenticationFailure }
  | { readonly code: "protocol-violation"; readonly violation: Violation; readonly during: "handshake" | "session" }
  | { readonly code: "handshake-timeout"; readonly awaiting: HandshakeAwait }
  | { readonly code: "peer-silent"; readonly silentMs: number }
  | { readonly code: "sequence-exhausted" }
  /** The session's keys had served long enough, and a REKEY was not safe with this peer: a new connection brings new ones. */
  | { readonly code: "key-expired"; readonly limit: KeyLimit }
  | { readonly code: "transport-ended"; readonly during: "handshake" | "session"; readonly awaiting?: HandshakeAwait }
  | { readonly code: "transport-failed"; readonly message: string };

/** Where a peer's bytes broke the protocol. */
export interface Breach {
  /** Bytes of the stream before the field that is wrong; on datagrams, bytes of the datagram. */
  readonly offset: number;
  /** At most the first four bytes of what should have been a frame: they show another version or another protocol. Empty for a whole frame. */
  readonly head: Uint8Array;
}

/** The frame that the handshake was waiting for; "keys" when it had all that the peer owed, and the application's look-up was not done. */
export type HandshakeAwait = keyof typeof FrameType | "keys";

/** Known inside only; from outside all of them look alike (spec section 3). */
export type AuthenticationFailure = "unknown-device" | "wrong-key" | "own-device-id" | "peer-proof";

/** What the end of a handshake gives. */
export interface Agreement {
  readonly deviceId: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly keys: TrafficKeys;
}
