import { constants } from "@usmp/protocol";
import { GatewayError } from "../../errors.ts";
import type { Device, DeviceId } from "../../records.ts";
import type { OutboundRecord } from "../messages.ts";

/** Ten years: longer than any device is away. */
const LONGEST_TTL_MS = 3_650 * 86_400_000;
const KEY = /^[\x21-\x7e]{1,128}$/;
export interface SendRequest {
  readonly device: DeviceId;
  readonly data: Uint8Array;
  /** Undefined: the gateway's own. */
  readonly ttlMs: number | undefined;
  /** The same key again is the same message, for as long as its record is kept: for senders that ask again when an answer got lost. */
  readonly key: string | undefined;
}

/** Throws GatewayError "usage". */
export function requireSendable({ data, key }: SendRequest, ttlMs: number): void {
  const most = constants.MAX_MESSAGE_LENGTH;
  if (data.length > most)
    throw new GatewayError(
      "usage",
      `message of ${data.length} bytes: at most ${most} fit into one (spec section 4); split it`,
    );
  if (!Number.isInteger(ttlMs) || ttlMs < 1 || ttlMs > LONGEST_TTL_MS)
    throw new GatewayError(
      "usage",
      `time to live ${ttlMs}: give whole milliseconds from 1 to ${LONGEST_TTL_MS} (ten years)`,
    );
  if (key !== undefined && !KEY.test(key))
    throw new GatewayError("usage", "the key of a message has 1 to 128 printable ASCII characters and no blank");
}

export function requireReceiver(device: Device | undefined, id: DeviceId): void {
  if (device === undefined) {
    throw new GatewayError(
      "unknown-device",
      `no device ${id}; "usmp device list" shows those there are, "usmp device add ${id}" enrols it`,
    );
  }
  if (device.state === "revoked")
    throw new GatewayError("device-state", `device ${id} is revoked: nothing can be sent to it any more`);
}

export function requireSame(one: Uint8Array, other: Uint8Array, key: string | undefined): void {
  if (Buffer.compare(one, other) === 0) return;
  throw new GatewayError(
    "usage",
    `the key ${JSON.stringify(key)} was used for another message to this device; a new message needs a key of its own`,
  );
}

export function unknownMessage(id: number, kept: number): GatewayError {
  return new GatewayError(
    "unknown-message",
    `no message ${id}; what became of a message is kept for a day, and of ${kept} at most`,
  );
}

export function isNews(last: OutboundRecord, next: OutboundRecord): boolean {
  return next.state !== last.state || next.attempts !== last.attempts || next.maybeTwice !== last.maybeTwice;
}
