import type { CloseReason } from "@usmp/protocol";

/** Everything that this library rejects with, but UsageError and AbortError. `code` is stable: docs/errors.md has a heading for each. */
export class UsmpError extends Error {
  override readonly name: string = "UsmpError";
  readonly code: UsmpErrorCode;

  constructor(code: UsmpErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type UsmpErrorCode =
  | "unreachable"
  | "refused-by-server"
  | "server-not-authentic"
  | "handshake-timeout"
  | "handshake-failed"
  | "session-closed"
  | "delivery-unknown"
  | "cannot-listen"
  | "outbox-full"
  | "link-closed";

/** connect() did not get a session. */
export class ConnectError extends UsmpError {
  override readonly name = "ConnectError";
  /** Why the connection ended; undefined when there never was one ("unreachable"). */
  readonly reason: CloseReason | undefined;

  constructor(code: UsmpErrorCode, message: string, reason?: CloseReason, options?: ErrorOptions) {
    super(code, message, options);
    this.reason = reason;
  }
}

/** The session had ended, or ended, before this could be done: nothing of the message left. */
export class SessionClosedError extends UsmpError {
  override readonly name = "SessionClosedError";
  readonly reason: CloseReason;

  constructor(reason: CloseReason) {
    super("session-closed", `the session has ended: ${describeReason(reason)}`);
    this.reason = reason;
  }
}

/** The session ended after a message had begun to leave and before its acknowledgement: it may or may not have arrived. */
export class DeliveryUnknownError extends UsmpError {
  override readonly name = "DeliveryUnknownError";
  readonly reason: CloseReason;

  constructor(reason: CloseReason) {
    super("delivery-unknown", `the session ended before the message was acknowledged: ${describeReason(reason)}`);
    this.reason = reason;
  }
}

/** listen() could not open one of its addresses; nothing was left open. */
export class ListenError extends UsmpError {
  override readonly name = "ListenError";

  constructor(message: string, options?: ErrorOptions) {
    super("cannot-listen", message, options);
  }
}

/** A close reason in words for people: what happened, without what to do about it. */
export function describeReason(reason: CloseReason): string {
  switch (reason.code) {
    case "closed-locally":
      return "closed by this side";
    case "closed-by-peer":
      return "the peer said BYE";
    case "aborted":
      return "aborted by this side";
    case "replaced":
      return "a newer session of the same device replaced it";
    case "dismissed":
      return `the server ended it (${reason.cause})`;
    case "evicted":
      return "its handshake gave way, because the server had too many under way";
    case "rate-limited":
      return "its source had begun more handshakes than a stranger may";
    case "server-full":
      return "the server had no room for one more session";
    case "authentication-failed":
      return AUTHENTICATION[reason.cause];
    case "protocol-violation":
      return `the peer broke the protocol during the ${reason.during} (${reason.violation})`;
    case "handshake-timeout":
      return reason.awaiting === "keys"
        ? "the handshake ran out of time waiting for the application's key look-up"
        : `the handshake ran out of time waiting for ${reason.awaiting}`;
    case "peer-silent":
      return `nothing authentic came for ${Math.round(reason.silentMs / 1000)} s`;
    case "sequence-exhausted":
      return "its sequence numbers were used up; connect again";
    case "key-expired":
      return `its keys had reached their limit of ${reason.limit}; connect again`;
    case "transport-ended":
      return reason.awaiting === undefined
        ? "the connection ended without BYE"
        : `the connection ended while ${reason.awaiting} was awaited`;
    case "transport-failed":
      return `the connection failed (${reason.message})`;
  }
}

const AUTHENTICATION = {
  "unknown-device": "the device id is not known",
  "wrong-key": "the peer does not hold the device's key",
  "own-device-id": "the HELLO carried this host's own device id",
  "peer-proof": "the server's proof was wrong: it does not hold the key",
} as const;

/** What connect() rejects with when a handshake ended so. */
export function connectErrorOf(reason: CloseReason, where: string): ConnectError {
  const happened = `${where}: ${describeReason(reason)}`;
  switch (reason.code) {
    case "authentication-failed":
      return new ConnectError("server-not-authentic", `${happened}; check that both sides hold the same key`, reason);
    case "handshake-timeout":
      return new ConnectError("handshake-timeout", `${happened}${TIMEOUT_ADVICE[reason.awaiting] ?? ""}`, reason);
    case "transport-ended":
      return reason.awaiting === "SESSION_OK"
        ? new ConnectError(
            "refused-by-server",
            `${where}: the server ended the connection after our proof; the key is wrong, or the device id is not known there`,
            reason,
          )
        : new ConnectError("handshake-failed", `${happened}; ${UNANSWERED_HELLO}`, reason);
    case "transport-failed":
      return new ConnectError("unreachable", happened, reason);
    default:
      return new ConnectError("handshake-failed", happened, reason);
  }
}

/** The field's servers end there for a device id that they do not know, and for an address with too many failures. */
const UNANSWERED_HELLO =
  "it is no USMP server, or does not know the device id, or refuses this address for now; its own output tells which";

const TIMEOUT_ADVICE: { readonly [awaiting: string]: string } = {
  HELLO_RETRY: "; nothing answers there: check host, port and transport",
  CHALLENGE:
    "; check host, port and transport, and whether the device id is known there: some servers do not answer a device that is not",
  SESSION_OK: "; the key is wrong, or the device id is not known there",
};
