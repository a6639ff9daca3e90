import type { TransportName } from "usmp";
import type { DeviceId, WallMs } from "../records.ts";

/** A message that a device sent. */
export interface InboundMessage {
  /** Ascending over all devices, never used again: what `after` in queries refers to. */
  readonly id: number;
  readonly device: DeviceId;
  /** 32 hex digits. */
  readonly session: string;
  /** Its place among the session's messages, from 1. */
  readonly sequence: number;
  /** When the gateway had it whole. */
  readonly time: WallMs;
  readonly transport: TransportName;
  readonly data: Uint8Array;
}

/**
 * queued: it waits for its device, or for its turn. sent: it was handed to a session, and what became of it is not known yet.
 * confirmed: the device has it (UDP: UTACK; TCP: the PONG to a PING that was sent after it). expired: its time to live ended before
 * that. cancelled: its sender took it back while it was queued, its device was deleted or revoked, or what is stored of it
 * does not open.
 */
export type OutboundState = "queued" | "sent" | "confirmed" | "expired" | "cancelled";

/** A message to a device, without its data. */
export interface OutboundRecord {
  /** Ascending; the order of delivery within a device. */
  readonly id: number;
  readonly device: DeviceId;
  readonly state: OutboundState;
  readonly queuedAt: WallMs;
  readonly expiresAt: WallMs;
  /** When it was last handed to a session. */
  readonly sentAt: WallMs | undefined;
  /** When it was confirmed, expired or cancelled. */
  readonly endedAt: WallMs | undefined;
  /** How often it was handed to a session. */
  readonly attempts: number;
  /** It may have reached the device twice: a session or the gateway ended between its sending and the knowledge of its fate. */
  readonly maybeTwice: boolean;
  readonly bytes: number;
  /** Actor.who of its sender. */
  readonly by: string;
}

export interface MessageSettings {
  /** UDP devices get their UTACK, TCP devices the PONG behind a message, only when it is safe in the store. */
  readonly durable: boolean;
  /** Payloads are sealed under the master at rest. */
  readonly sealed: boolean;
  /** Inbound messages go, the oldest first, when one of these is exceeded. */
  readonly keepMs: number;
  readonly keepBytes: number;
  readonly keepBytesPerDevice: number;
  /** Of queued messages that do not say their own. */
  readonly queueTtlMs: number;
  readonly queuePerDevice: number;
  readonly queueBytesPerDevice: number;
  /** Messages a second towards one returning device while its queue drains, and how many may be unconfirmed at once. */
  readonly drainPerSecond: number;
}

const MIB = 1_048_576;
const DAY_MS = 86_400_000;

export const DEFAULT_MESSAGE_SETTINGS: MessageSettings = {
  durable: false,
  sealed: false,
  keepMs: 7 * DAY_MS,
  keepBytes: 256 * MIB,
  keepBytesPerDevice: 32 * MIB,
  queueTtlMs: 7 * DAY_MS,
  queuePerDevice: 1_000,
  queueBytesPerDevice: MIB,
  drainPerSecond: 50,
};
