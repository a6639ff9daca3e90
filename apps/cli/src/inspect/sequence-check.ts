import { type Check, type Direction, failed, passed, skipped } from "./explanation.ts";

/** Follows the sequence numbers of both directions. On datagrams gaps and repeats are normal; in a stream each is the next. */
export class SequenceCheck {
  #datagrams = false;
  #next: Partial<Record<Direction, number>> = {};
  #rekeyed = false;

  /** Something was seen that only datagrams have. */
  noteDatagrams(): void {
    this.#datagrams = true;
  }

  /** SESSION_OK: both directions begin at 0. */
  begin(): void {
    this.#next = { client: 0, server: 0 };
    this.#rekeyed = false;
  }

  noteRekey(): void {
    this.#rekeyed = true;
  }

  check(from: Direction | undefined, seq: number): Check {
    const name = "sequence";
    if (from === undefined) return skipped(name, "the recording does not tell the direction");
    const next = this.#next[from];
    this.#next[from] = seq + 1;
    if (next === undefined) return skipped(name, "the recording does not show where this direction began");
    if (seq === next) return passed(name, "the next one");
    if (seq === 0 && this.#rekeyed) return passed(name, "the first of a new epoch");
    if (this.#datagrams)
      return passed(
        name,
        seq < next
          ? `not above ${next - 1}: sent again, or late`
          : `${seq - next} missing before it: lost, or burnt by a failed send`,
      );
    return failed(name, `${next} was next; on TCP this ends the session`);
  }
}
