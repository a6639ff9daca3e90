import assert from "node:assert/strict";
import { readU32 } from "../../src/wire/bytes.ts";
import { isSessionType } from "../../src/wire/frame.ts";
import { looksLikeUtack } from "../../src/wire/utack.ts";

const FRAME_SEQ_OFFSET = 4;
const UTACK_TYPE_OFFSET = 2;
const UTACK_SEQ_OFFSET = 3;

/**
 * A session moves for a frame that is newer than every one that was acknowledged, never for a copy. With ends of ours, which continue
 * their sequence numbers over a rekey, newer is a greater number.
 */
export class MoveOracle {
  #input: Uint8Array | undefined;
  #newestAcknowledged = -1;
  #newestBefore = -1;

  /** A datagram reaches the server. */
  noteInput(datagram: Uint8Array): void {
    this.#input = datagram;
    this.#newestBefore = this.#newestAcknowledged;
  }

  /** Everything that the last datagram caused has happened. */
  noteSettled(): void {
    this.#input = undefined;
  }

  /** A datagram leaves the server. */
  noteOutput(datagram: Uint8Array): void {
    if (!looksLikeUtack(datagram) || !isSessionType(datagram[UTACK_TYPE_OFFSET] as number)) return;
    this.#newestAcknowledged = Math.max(this.#newestAcknowledged, readU32(datagram, UTACK_SEQ_OFFSET));
  }

  /** A session moved: by the last input, or back to a proven address, because the other stayed silent. */
  noteMoved(proven: boolean): void {
    if (this.#input === undefined) return assert(proven, "a session moved to a new address by itself");
    const seq = looksLikeUtack(this.#input) ? -1 : readU32(this.#input, FRAME_SEQ_OFFSET);
    if (seq <= this.#newestBefore) {
      assert.fail(`a frame with seq ${seq} moved the session, though ${this.#newestBefore} was acknowledged before`);
    }
  }
}
