/**
 * How many sessions each worker may hold, so that all together never hold more than the server may. Shares are moved, never made: what
 * one gets, another gave before.
 */
export class SessionShares {
  readonly #granted: number[];
  /** Of workers that died: with them went their sessions. */
  #free = 0;

  constructor(total: number, workers: number) {
    const each = Math.floor(total / workers);
    this.#granted = Array.from({ length: workers }, (_, index) => each + (index < total % workers ? 1 : 0));
  }

  granted(worker: number): number {
    return this.#granted[worker] as number;
  }

  /** The worker ended; its share waits for whoever asks. */
  noteEnded(worker: number): void {
    this.#free += this.granted(worker);
    this.#granted[worker] = 0;
  }

  /** What nobody holds goes to this worker. */
  takeFree(worker: number): number {
    const taken = this.#free;
    this.#free = 0;
    this.#granted[worker] = this.granted(worker) + taken;
    return taken;
  }

  /** Who can best give to `needy`, and how much of what it does not use: half. Undefined: nobody has any left. */
  donorFor(
    needy: number,
    openOf: (worker: number) => number,
  ): { readonly worker: number; readonly most: number } | undefined {
    let donor: { readonly worker: number; readonly most: number } | undefined;
    for (const [worker, granted] of this.#granted.entries()) {
      const unused = granted - openOf(worker);
      if (worker === needy || unused <= 0) continue;
      const most = Math.ceil(unused / 2);
      if (donor === undefined || most > donor.most) donor = { worker, most };
    }
    return donor;
  }

  /** The donor has given up so many, for `needy`. */
  move(donor: number, needy: number, sessions: number): void {
    this.#granted[donor] = this.granted(donor) - sessions;
    this.#granted[needy] = this.granted(needy) + sessions;
  }
}
