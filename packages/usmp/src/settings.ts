import { constants, UsageError } from "@usmp/protocol";

const DEFAULT_RECEIVE_BUFFER_BYTES = 262_144;

/** Checks receiveBufferBytes: it must hold a whole message, or none could ever be received. */
export function receiveLimit(given: number | undefined): number {
  const limit = given ?? DEFAULT_RECEIVE_BUFFER_BYTES;
  if (Number.isInteger(limit) && limit >= constants.MAX_MESSAGE_LENGTH) return limit;
  throw new UsageError(
    "invalid-option",
    `receiveBufferBytes is ${limit}; it must be a whole number of bytes, at least ${constants.MAX_MESSAGE_LENGTH} (one message)`,
  );
}

/** Checks a limit that counts things; at least one. */
export function countLimit(field: string, given: number | undefined, fallback: number): number {
  const limit = given ?? fallback;
  if (Number.isInteger(limit) && limit >= 1) return limit;
  throw new UsageError("invalid-option", `${field} is ${limit}; it must be a whole number, at least 1`);
}

/** Checks what an acknowledgement is to say. */
export function acknowledgeOf(given: "received" | "accepted" | undefined): "received" | "accepted" {
  if (given === undefined || given === "received" || given === "accepted") return given ?? "received";
  throw new UsageError("invalid-option", `acknowledge is ${JSON.stringify(given)}; it is "received" or "accepted"`);
}
