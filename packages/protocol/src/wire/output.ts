import { MessageSlab } from "./message-slab.ts";

const SLAB_SIZE = 65_536;

/**
 * Where outgoing frames are written: a block of memory that all stream connections of one driver share, renewed when full. It holds
 * ciphertext and handshake frames only, all of which go over the wire anyway. The garbage collector frees a full block when its last frame is gone.
 */
export class FrameSlab {
  #bytes: Uint8Array = new Uint8Array(SLAB_SIZE);
  #used = 0;
  /** For what comes in: plaintext never lies in a block of frames that leave. */
  readonly messages: MessageSlab = new MessageSlab();

  /** The block that the last reserve() was made in. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Reserves `length` bytes, at most one message's frames, and answers where they begin. */
  reserve(length: number): number {
    if (this.#used + length > SLAB_SIZE) {
      this.#bytes = new Uint8Array(SLAB_SIZE);
      this.#used = 0;
    }
    const offset = this.#used;
    this.#used += length;
    return offset;
  }
}

/** Frames of one connection that are ready to leave, joined without a copy: what was written in one go leaves as one piece. */
export class Output {
  readonly #slab: FrameSlab;
  #finished: Uint8Array[] | undefined;
  /** The run that still grows; no reference is kept once it was taken, or an idle session would pin its block. */
  #block: Uint8Array | undefined;
  #start = 0;
  #end = 0;

  constructor(slab: FrameSlab) {
    this.#slab = slab;
  }

  get isEmpty(): boolean {
    return this.#block === undefined && this.#finished === undefined;
  }

  /** Room for a frame of `length` bytes behind the last one; the caller fills all of it before it does anything else. */
  allocate(length: number): Uint8Array {
    const offset = this.reserve(length);
    return this.bytes.subarray(offset, offset + length);
  }

  /** The block that the last reserve() was made in. */
  get bytes(): Uint8Array {
    return this.#slab.bytes;
  }

  /** The same room as allocate()'s, said by where it begins in `bytes`. */
  reserve(length: number): number {
    const offset = this.#slab.reserve(length);
    if (this.#slab.bytes !== this.#block || offset !== this.#end) {
      this.#finishRun();
      this.#block = this.#slab.bytes;
      this.#start = offset;
    }
    this.#end = offset + length;
    return offset;
  }

  /** Everything up to here in as few pieces as it lies in; undefined when nothing is left. */
  take(): Uint8Array | undefined {
    if (this.#finished === undefined) return this.#takeRun();
    this.#finishRun();
    const piece = this.#finished.shift();
    if (this.#finished.length === 0) this.#finished = undefined;
    return piece;
  }

  #takeRun(): Uint8Array | undefined {
    const run = this.#block?.subarray(this.#start, this.#end);
    this.#block = undefined;
    return run;
  }

  #finishRun(): void {
    const run = this.#takeRun();
    if (run === undefined) return;
    this.#finished ??= [];
    this.#finished.push(run);
  }
}
