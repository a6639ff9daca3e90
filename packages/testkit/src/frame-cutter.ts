import { constants } from "@usmp/protocol";

const { HEADER_LENGTH } = constants;
const LENGTH_OFFSET = 8;

/**
 * Cuts a stream into frames by their length field alone, checking nothing: an attacker's framer, which also takes what the real
 * one refuses.
 */
export class FrameCutter {
  #held: Uint8Array = new Uint8Array(0);

  /** The frames that are complete with `chunk`; the rest waits for the next. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = Buffer.concat([this.#held, chunk]);
    const frames: Uint8Array[] = [];
    let offset = 0;
    while (bytes.length - offset >= HEADER_LENGTH) {
      const end = offset + HEADER_LENGTH + bytes.readUInt16LE(offset + LENGTH_OFFSET);
      if (end > bytes.length) break;
      frames.push(bytes.subarray(offset, end));
      offset = end;
    }
    this.#held = bytes.subarray(offset);
    return frames;
  }

  /** Bytes of a frame whose end has not come. */
  get held(): Uint8Array {
    return this.#held;
  }
}
