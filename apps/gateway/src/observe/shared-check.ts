import type { Instant } from "@usmp/protocol";
import type { Clock } from "usmp";

/** How long a result is good for. */
const FRESH_MS = 1_000;

/** A check that costs something and may be asked for by anybody: one is in flight at a time, and its result serves all who ask within a second. */
export class SharedCheck<Result> {
  readonly #clock: Pick<Clock, "now">;
  readonly #check: () => Promise<Result>;
  #running: Promise<Result> | undefined;
  #known: { readonly result: Result; readonly at: Instant } | undefined;

  /** `check` does not reject. */
  constructor(clock: Pick<Clock, "now">, check: () => Promise<Result>) {
    this.#clock = clock;
    this.#check = check;
  }

  async result(): Promise<Result> {
    if (this.#known !== undefined && this.#clock.now() - this.#known.at < FRESH_MS) return this.#known.result;
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<Result> {
    const result = await this.#check();
    this.#known = { result, at: this.#clock.now() };
    this.#running = undefined;
    return result;
  }
}
