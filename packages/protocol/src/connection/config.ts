import {
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_IDLE_TIMEOUT_MS,
  DEFAULT_KEEPALIVE_MS,
  DEVICE_ID_LENGTH,
  MIN_PSK_LENGTH,
} from "../constants.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Secret } from "../crypto/secret.ts";
import { UsageError } from "../errors.ts";

/** What both sides of a connection are made with. */
export interface ConnectionConfig {
  readonly crypto: CryptoProvider;
  readonly timing: Timing;
}

/** Durations in milliseconds. */
export interface Timing {
  /** The whole handshake's deadline (spec section 3). */
  readonly handshakeTimeoutMs: number;
  /** A side that has sent nothing for so long sends PING (spec section 4). */
  readonly keepaliveMs: number;
  /** A session that has received nothing authentic for so long ends (spec section 4). */
  readonly idleTimeoutMs: number;
}

export interface ClientConfig extends ConnectionConfig {
  /** Stays the caller's to wipe, after the connection has closed or is established. */
  readonly psk: Secret;
  readonly deviceId: Uint8Array;
}

export interface ServerConfig extends ConnectionConfig {
  /** False when no session of this device fits any more: asked once its proof was good, before SESSION_OK. Absent: it always fits. */
  readonly hasRoom?: ((deviceId: Uint8Array) => boolean) | undefined;
  /** True for the ids of this host's own client role: their HELLOs are reflections (spec section 3). */
  readonly isOwnDevice: (deviceId: Uint8Array) => boolean;
}

export const DEFAULT_TIMING: Timing = {
  handshakeTimeoutMs: DEFAULT_HANDSHAKE_TIMEOUT_MS,
  keepaliveMs: DEFAULT_KEEPALIVE_MS,
  idleTimeoutMs: DEFAULT_IDLE_TIMEOUT_MS,
};

/** Checks durations once, at the edge; what is missing takes its default. Throws UsageError "invalid-option". */
export function parseTiming(given: { readonly [Key in keyof Timing]?: number | undefined }): Timing {
  const timing = {
    handshakeTimeoutMs: duration("handshakeTimeoutMs", given.handshakeTimeoutMs, DEFAULT_TIMING.handshakeTimeoutMs),
    keepaliveMs: duration("keepaliveMs", given.keepaliveMs, DEFAULT_TIMING.keepaliveMs),
    idleTimeoutMs: duration("idleTimeoutMs", given.idleTimeoutMs, DEFAULT_TIMING.idleTimeoutMs),
  };
  if (timing.keepaliveMs >= timing.idleTimeoutMs) {
    throw new UsageError(
      "invalid-option",
      `keepaliveMs (${timing.keepaliveMs}) must be less than idleTimeoutMs (${timing.idleTimeoutMs}): a quiet session would end before its first PING`,
    );
  }
  return timing;
}

/** Throws UsageError "invalid-key" for a PSK under 16 bytes (spec section 3). */
export function checkPsk(psk: Secret): void {
  if (psk.length < MIN_PSK_LENGTH) {
    throw new UsageError(
      "invalid-key",
      `psk has ${psk.length} bytes; at least ${MIN_PSK_LENGTH} are required, 32 random ones are right: make one with "usmp keygen"`,
    );
  }
}

/** Throws UsageError "invalid-option" for anything but 6 bytes. */
export function checkDeviceId(deviceId: Uint8Array): void {
  if (deviceId.length !== DEVICE_ID_LENGTH) {
    throw new UsageError("invalid-option", `deviceId has ${deviceId.length} bytes; it must have ${DEVICE_ID_LENGTH}`);
  }
}

function duration(field: string, given: number | undefined, fallback: number): number {
  const value = given ?? fallback;
  if (!Number.isFinite(value) || value <= 0) {
    throw new UsageError("invalid-option", `${field} is ${value}; it must be a positive number of milliseconds`);
  }
  return value;
}
