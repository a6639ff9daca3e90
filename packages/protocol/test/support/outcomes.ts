import type { Connection } from "../../src/connection/connection.ts";
import type { Counters } from "../../src/connection/counters.ts";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { encodeFrame, FrameType, type FrameTypeName, isSessionType } from "../../src/wire/frame.ts";
import { filled, OTHER_DEVICE_ID, randomBytes } from "./fixtures.ts";
import type { RawSession } from "./raw-peer.ts";
import { eventsFrom } from "./streams.ts";

export const FRAME_TYPES: readonly FrameTypeName[] = Object.keys(FrameType) as FrameTypeName[];

const PLAIN_LENGTHS = { CHALLENGE: 64, HELLO_ACK: 32, SESSION_OK: 48, HELLO_RETRY: 16, ERROR: 1 } as const;

/**
 * The best frame of a type that this peer can make: sealed with the session's keys where it has them, of the right length with random
 * contents where not.
 */
export function sampleFrame(type: FrameTypeName, raw: RawSession | undefined, seq = 0): Uint8Array {
  const plaintext = type === "REKEY" ? filled(32, 7) : filled(type.startsWith("DATA") ? 3 : 0, 0x61);
  if (!isSessionType(FrameType[type])) {
    const payload =
      type === "HELLO"
        ? concatBytes(OTHER_DEVICE_ID, randomBytes(32))
        : randomBytes(PLAIN_LENGTHS[type as keyof typeof PLAIN_LENGTHS]);
    return encodeFrame(FrameType[type], 0, payload);
  }
  return raw === undefined
    ? encodeFrame(FrameType[type], seq, randomBytes(28 + plaintext.length))
    : raw.seal(type, seq, plaintext);
}

/** What a machine did with one frame, in words: where it went, what it said, what it sent and what it counted. */
export function outcomeOf(
  machine: Connection,
  counters: readonly Counters[],
  give: () => void,
  takeSent: () => readonly string[],
): string {
  const { state } = machine;
  const before = counters.map(({ drops }) => new Map(drops));
  give();
  const dropped = counters.flatMap(({ drops }, i) =>
    [...drops].filter(([cause, count]) => count !== (before[i]?.get(cause) ?? 0)).map(([cause]) => `drops ${cause}`),
  );
  const words = [
    ...(machine.state === state || machine.state === "closed" ? [] : [`-> ${machine.state}`]),
    ...eventsFrom(machine).map(describeEvent),
    ...takeSent().map((what) => `sends ${what}`),
    ...dropped,
  ];
  return words.length === 0 ? "nothing" : words.join(", ");
}

function describeEvent(event: ConnectionEvent): string {
  if (event.type === "closed") {
    const { reason } = event;
    if (reason.code === "protocol-violation") return `closes: ${reason.violation}`;
    return reason.code === "authentication-failed" ? `closes: ${reason.cause}` : `closes: ${reason.code}`;
  }
  return event.type === "proof-refused" ? `refuses: ${event.cause}` : `says ${event.type}`;
}
