/** Messages that may wait for their acknowledgement at once: more than any congestion window, and little memory. */
const MOST = 64;

/** What was sent and is not answered yet: bounded, so that a peer that stalls still holds its sender back. */
export class UnderWay {
  readonly #sends: Set<Promise<void>> = new Set();

  /** Takes a send that tells its own failures; resolves when there is room for another. */
  async add(send: Promise<void>): Promise<void> {
    const settled = send.finally(() => this.#sends.delete(settled));
    this.#sends.add(settled);
    if (this.#sends.size >= MOST) await Promise.race(this.#sends);
  }

  /** Resolves when all are answered. */
  async done(): Promise<void> {
    await Promise.all(this.#sends);
  }
}
