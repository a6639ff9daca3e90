/** The caller misused this API. Thrown at the call, never because of peer bytes. `code` is stable. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code: UsageErrorCode;

  constructor(code: UsageErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export type UsageErrorCode =
  | "invalid-option"
  | "invalid-key"
  | "weak-key"
  | "message-too-long"
  | "not-established"
  | "secret-wiped";

/**
 * What a peer's bytes can do wrong. In-order transports close with it; datagram transports drop and count it.
 * The order of checks is the order of this list (P6: nothing below "bad-crc" happens before the CRC was good).
 */
export type Violation =
  | "truncated"
  | "bad-magic"
  | "unsupported-version"
  | "oversized-payload"
  | "trailing-bytes"
  | "bad-crc"
  | "unknown-type"
  | "unexpected-type"
  | "bad-length"
  | "bad-cookie"
  | "bad-proof"
  | "weak-key-share"
  | "bad-nonce"
  | "unexpected-sequence"
  | "replayed"
  | "bad-tag"
  | "sequence-exhausted"
  | "broken-fragments"
  | "too-many-fragments"
  | "control-flood";
