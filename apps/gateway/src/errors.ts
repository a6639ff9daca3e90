/**
 * Everything that the gateway refuses to do, with a message that names the field, the value's problem and the fix. `code` is stable;
 * `usage` codes are exit code 2 of the command line, all others 1.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: GatewayErrorCode;

  constructor(code: GatewayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type GatewayErrorCode =
  | "usage"
  | "not-running"
  | "already-running"
  | "unknown-device"
  | "device-exists"
  | "device-state"
  | "key-in-use"
  | "dead-key"
  | "rotation-open"
  | "master-missing"
  | "master-exposed"
  | "master-mismatch"
  | "master-source"
  | "wrong-passphrase"
  | "damaged"
  | "database"
  | "newer-schema"
  | "no-sqlite"
  | "stale"
  | "audit-broken"
  | "backup"
  | "clock-untrusted"
  | "queue-full"
  | "unknown-message"
  | "message-state"
  | "control"
  | "unknown-token"
  | "unauthorized"
  | "forbidden"
  | "rate-limited"
  | "remote";
