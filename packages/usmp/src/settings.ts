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
