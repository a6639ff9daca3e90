/** Frames in flight at the most: with the fragments of one message more, and the control frames between, they fit the peer's window of 64. */
const MAX_FRAMES = 32;
/** RFC 6928 starts with ten segments of 1,460 bytes; ours are a third of that, and the path to a sensor may be thin. */
const INITIAL_FRAMES = 4;
const MIN_THRESHOLD = 2;

/** How many frames may be in flight: slow start, then one more each round trip; half after a loss, one after a timeout (RFC 5681). */
export class CongestionWindow {
  #frames = INITIAL_FRAMES;
  #threshold = MAX_FRAMES;
  /** Losses of frames before this number are part of the one that was answered already. */
  #recoveringTo = 0;

  get frames(): number {
    return Math.floor(this.#frames);
  }

  onAcknowledged(): void {
    const growth = this.#frames < this.#threshold ? 1 : 1 / this.#frames;
    this.#frames = Math.min(MAX_FRAMES, this.#frames + growth);
  }

  /** Later frames have arrived, this one has not. `nextSeq`: what would be sent next. */
  onLoss(seq: number, nextSeq: number): void {
    if (seq < this.#recoveringTo) return;
    this.#threshold = Math.max(MIN_THRESHOLD, this.frames / 2);
    this.#frames = this.#threshold;
    this.#recoveringTo = nextSeq;
  }

  /** Nothing arrives: stop and wait again, until acknowledgements come. */
  onTimeout(): void {
    if (this.frames > 1) this.#threshold = Math.max(MIN_THRESHOLD, this.frames / 2);
    this.#frames = 1;
  }
}
