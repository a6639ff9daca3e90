import { MAX_MESSAGE_LENGTH } from "../constants.ts";

/**
 * Large enough that its making does not count, small enough for an application that keeps one short message of it for long.
 */
const BLOCK_SIZE = 16_384;
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * Where opened messages are written: a block of memory that all stream connections of one driver share, renewed when full and never
 * written twice, so that a message is its reader's to keep. Memory of its own for each would cost more than opening it does.
 */
export class MessageSlab {
  /** What is left of the block. */
  #free: Uint8Array = NOTHING;

  /** Room for at least one message, of which take() takes what was used. */
  get room(): Uint8Array {
    if (this.#free.length < MAX_MESSAGE_LENGTH) this.#free = new Uint8Array(BLOCK_SIZE);
    return this.#free;
  }

  /** The first `length` bytes of the room, which are not given out again. */
  take(length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const taken = this.room.subarray(0, length);
    this.#free = this.#free.subarray(length);
    return taken;
  }
}
