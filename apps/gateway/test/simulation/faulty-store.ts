import type { SeededRandom } from "@usmp/testkit";
import { GatewayError } from "../../src/errors.ts";
import type { QueueStore } from "../../src/messages/outbound/queue-store.ts";

/** What goes wrong between a queue and its database. */
export class Faults {
  /** Of calls that fail while there is trouble: half of them after the database has done what was asked. */
  trouble = 0;
  #crashed = false;
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The process is killed: what it asked for may be done, and it never hears of it. */
  crash(): void {
    this.#crashed = true;
  }

  wrap(store: QueueStore): QueueStore {
    return new Proxy(store, {
      get: (target, name) => {
        const method = target[name as keyof QueueStore] as (...values: unknown[]) => Promise<unknown>;
        return (...values: unknown[]) => this.#call(() => method.apply(target, values));
      },
    });
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    const fails = this.#random.chance(this.trouble);
    const done = this.#random.chance(0.5);
    if (this.#crashed) return NEVER as Promise<T>;
    if (fails && !done) throw new GatewayError("database", "not done");
    const result = await work();
    if (this.#crashed) return NEVER as Promise<T>;
    if (fails) throw new GatewayError("database", "done, and the answer is lost");
    return result;
  }
}

const NEVER: Promise<never> = new Promise(() => {});
