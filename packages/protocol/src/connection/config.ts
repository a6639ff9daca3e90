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
  /**
   * What an acknowledgement says. "received" (default): the message has its place here. "accepted": the application has called
   * acceptMessages() for it. Until then the UTACK of the frame that completed it is withheld, and on in-order transports the PONG to a PING
   * behind it.
   */
  readonly acknowledge?: "received" | "accepted" | undefined;
  /** Default: DEFAULT_REKEYING. A server may decide device by device. */
  readonly rekeying?: Rekeying | ((deviceId: Uint8Array) => Rekeying) | undefined;
}

/**
 * When the keys of an epoch have served long enough, whichever comes first. Far below what AES-256-GCM bears: SP 800-38D section 8.3
 * allows 2^32 invocations under one key, and RFC 8446 section 5.5 keeps to 2^24.5 records of 2^14 bytes, which is 2^34.5 blocks; 2^28
 * frames of at most 31 blocks are under 2^33.
 */
export interface KeyLimits {
  /** Frames, both directions together. */
  readonly afterFrames: number;
  /** Bytes of whole frames, both directions together. */
  readonly afterBytes: number;
  /** Milliseconds: how much recorded traffic a stolen key opens. */
  readonly afterMs: number;
}

/**
 * What is done then. A REKEY of ours can cost a peer of the field its session (spec section 7), a BYE only a new handshake, which also brings
 * a fresh exchange (threats page, R8).
 *
 * - "own": REKEY if the peer has shown to be of this implementation (docs/pipelining.md), else BYE.
 * - "quiet": as "own", and on in-order transports also REKEY with any peer, in a moment without traffic; BYE if none comes.
 * - "always": REKEY. For peers that are known to bear it.
 * - "never": BYE.
 */
export type RekeyPolicy = "own" | "quiet" | "always" | "never";

export interface Rekeying extends KeyLimits {
  readonly policy: RekeyPolicy;
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

export const DEFAULT_REKEYING: Rekeying = {
  afterFrames: 2 ** 28,
  afterBytes: 2 ** 36,
  afterMs: 24 * 3_600_000,
  policy: "own",
};

/** A month: beyond it a limit of age is none. */
const MAX_KEY_AGE_MS = 31 * 24 * 3_600_000;
const POLICIES: readonly RekeyPolicy[] = ["own", "quiet", "always", "never"];

/** Checks limits and policy once, at the edge; what is missing takes its default. Throws UsageError "invalid-option". */
export function parseRekeying(given: { readonly [Key in keyof Rekeying]?: Rekeying[Key] | undefined } = {}): Rekeying {
  const policy = given.policy ?? DEFAULT_REKEYING.policy;
  if (!POLICIES.includes(policy)) {
    throw new UsageError(
      "invalid-option",
      `rekey.policy is ${JSON.stringify(policy)}; it is ${POLICIES.map((known) => `"${known}"`).join(", ")}`,
    );
  }
  return {
    afterFrames: keyLimit("afterFrames", given.afterFrames, DEFAULT_REKEYING.afterFrames),
    afterBytes: keyLimit("afterBytes", given.afterBytes, DEFAULT_REKEYING.afterBytes),
    afterMs: keyLimit("afterMs", given.afterMs, DEFAULT_REKEYING.afterMs, MAX_KEY_AGE_MS),
    policy,
  };
}

/** What holds for the keys of a session with this device. */
export function rekeyingFor({ rekeying }: ConnectionConfig, deviceId: Uint8Array): Rekeying {
  return (typeof rekeying === "function" ? rekeying(deviceId) : rekeying) ?? DEFAULT_REKEYING;
}

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

function keyLimit(field: keyof KeyLimits, given: number | undefined, fallback: number, most = fallback): number {
  const value = given ?? fallback;
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UsageError("invalid-option", `rekey.${field} is ${value}; it must be a whole number from 1 to ${most}`);
}
