import { earliest, type Instant } from "../time.ts";
import type { Retransmission } from "./retransmission.ts";

/** What the window keeps of a frame that waits for its acknowledgement. */
export interface InFlight {
  readonly seq: number;
  readonly retransmission: Retransmission;
  /** Place in the order of all sends: of this frame's last one. */
  sentAs: number;
  /** Frames sent after it that have arrived before it. */
  overtaken: number;
}

/** Later frames that must have arrived before one counts as lost (RFC 5681's three, which tolerate a little reordering). */
const OVERTAKEN_LIMIT = 3;

/** Frames on their way, in the order of their numbers. */
export class SendWindow<F extends InFlight> {
  #frames: F[] = [];

  get size(): number {
    return this.#frames.length;
  }

  get oldest(): F | undefined {
    return this.#frames[0];
  }

  add(frame: F): void {
    this.#frames.push(frame);
  }

  find(seq: number): F | undefined {
    return this.#frames.find((frame) => frame.seq === seq);
  }

  /** Takes a frame out: it has arrived. Answers what has been overtaken so often by now that it must be lost. */
  remove(arrived: F): readonly F[] {
    const lost: F[] = [];
    this.#frames = this.#frames.filter((frame) => {
      if (frame.sentAs < arrived.sentAs && ++frame.overtaken === OVERTAKEN_LIMIT) lost.push(frame);
      return frame !== arrived;
    });
    return lost;
  }

  clear(): void {
    this.#frames = [];
  }

  /** Those of the `count` oldest whose time to be sent again has come. The others wait: while nothing arrives, more would only add to it. */
  due(now: Instant, count: number): readonly F[] {
    return this.first(count).filter(({ retransmission }) => retransmission.isDue(now));
  }

  timeout(count: number): Instant | undefined {
    let next: Instant | undefined;
    for (const { retransmission } of this.first(count)) next = earliest(next, retransmission.resendAt);
    return next;
  }

  first(count: number): readonly F[] {
    return this.#frames.slice(0, count);
  }
}
