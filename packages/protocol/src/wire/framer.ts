import { HEADER_LENGTH, MAX_FRAME_LENGTH } from "../constants.ts";
import type { Violation } from "../errors.ts";
import { copyBytes } from "./bytes.ts";
import { announcedPayloadLength, decodeFrame, type Frame, headerViolation } from "./frame.ts";

const EMPTY = new Uint8Array(0);
/** Magic, version, type. */
const REJECTED_HEAD_LENGTH = 4;

/**
 * Cuts an ordered byte stream into frames. Frames that lie whole inside a chunk are views into it; only a frame that is split
 * between chunks is copied, into a buffer of at most one frame that is released again: an idle stream holds nothing.
 *
 * After a violation the stream has lost its frame boundaries: the caller closes it and asks no more.
 */
export class Framer {
  #chunk: Uint8Array = EMPTY;
  #offset = 0;
  #partial: Uint8Array | undefined;
  #partialLength = 0;
  /** Bytes of the stream before this chunk, and up to its end. */
  #before = 0;
  #taken = 0;
  #frameStart = 0;
  #rejected: Uint8Array = EMPTY;

  /** Takes the next chunk; next() must have answered undefined since the one before. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#offset = 0;
    this.#before = this.#taken;
    this.#taken += chunk.length;
  }

  /** The next whole frame, what is wrong with the stream, or undefined when more bytes are needed. */
  next(): Frame | Violation | undefined {
    if (this.#partial !== undefined) return this.#continue(this.#partial);
    this.#frameStart = this.#before + this.#offset;
    const available = this.#chunk.length - this.#offset;
    if (available === 0) return this.#release();
    if (available < HEADER_LENGTH) return this.#hold();
    const wrong = headerViolation(this.#chunk, this.#offset);
    if (wrong !== undefined) return this.#reject(wrong, this.#chunk, this.#offset);
    const length = HEADER_LENGTH + announcedPayloadLength(this.#chunk, this.#offset);
    if (available < length) return this.#hold();
    const frame = decodeFrame(this.#chunk.subarray(this.#offset, this.#offset + length));
    this.#offset += length;
    return frame;
  }

  /** The chunk that is being cut. */
  get chunk(): Uint8Array {
    return this.#chunk;
  }

  /** Where in the chunk the next frame begins. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of the chunk from the beginning of a frame on; none while one that began in an earlier chunk is not whole. */
  get available(): number {
    return this.#partial === undefined ? this.#chunk.length - this.#offset : 0;
  }

  /** Passes over the next frame, which somebody else has read. */
  skip(length: number): void {
    this.#frameStart = this.#before + this.#offset;
    this.#offset += length;
  }

  /** True when a frame has begun and its end is missing. */
  get midFrame(): boolean {
    return this.#partialLength > 0;
  }

  /** Bytes of the stream before the frame that next() answered last, or that it found wrong. */
  get frameStart(): number {
    return this.#frameStart;
  }

  /** The first four bytes of a header that was wrong; empty for frames that were wrong behind it. */
  get rejectedHead(): Uint8Array {
    return this.#rejected;
  }

  #release(): undefined {
    this.#chunk = EMPTY;
    this.#offset = 0;
    return undefined;
  }

  #hold(): undefined {
    this.#partial = new Uint8Array(MAX_FRAME_LENGTH);
    this.#partialLength = 0;
    this.#take(this.#partial, this.#chunk.length - this.#offset);
    return undefined;
  }

  #continue(partial: Uint8Array): Frame | Violation | undefined {
    if (this.#partialLength < HEADER_LENGTH) {
      this.#take(partial, HEADER_LENGTH - this.#partialLength);
      if (this.#partialLength < HEADER_LENGTH) return undefined;
    }
    const wrong = headerViolation(partial, 0);
    if (wrong !== undefined) return this.#reject(wrong, partial, 0);
    const length = HEADER_LENGTH + announcedPayloadLength(partial, 0);
    this.#take(partial, length - this.#partialLength);
    if (this.#partialLength < length) return undefined;
    this.#partial = undefined;
    this.#partialLength = 0;
    return decodeFrame(partial.subarray(0, length));
  }

  #reject(violation: Violation, bytes: Uint8Array, offset: number): Violation {
    this.#rejected = copyBytes(bytes, offset, offset + REJECTED_HEAD_LENGTH);
    return violation;
  }

  /** Moves up to `wanted` bytes from the chunk behind what `partial` holds. */
  #take(partial: Uint8Array, wanted: number): void {
    const end = Math.min(this.#chunk.length, this.#offset + wanted);
    partial.set(this.#chunk.subarray(this.#offset, end), this.#partialLength);
    this.#partialLength += end - this.#offset;
    this.#offset = end;
  }
}
