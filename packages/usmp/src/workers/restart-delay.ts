/** How long a worker that ended is left alone: twice as long each time, so that one that cannot live costs little. */
const SHORTEST_MS = 100;
const LONGEST_MS = 10_000;
/** A worker that has lived so long had no trouble with its beginning. */
const SOUND_MS = 30_000;

/** The pace at which one worker is started again. */
export class RestartDelay {
  #nextMs = SHORTEST_MS;

  /** A worker that lived so long has ended. Answers after how many milliseconds it may begin again. */
  after(livedMs: number): number {
    if (livedMs >= SOUND_MS) this.#nextMs = SHORTEST_MS;
    const delay = this.#nextMs;
    this.#nextMs = Math.min(LONGEST_MS, 2 * delay);
    return delay;
  }
}
