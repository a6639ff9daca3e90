import { Outcome } from "../waiting.ts";
import type { Delivery, Fate } from "./api.ts";

const NO_BYTES = new Uint8Array(0);

/** One message in the outbox: the record that send() answers, and its bytes for as long as they may be needed. */
export class QueuedMessage implements Delivery {
  readonly id: number;
  readonly length: number;
  /** Its fate if it is not delivered after all: a former session may have delivered it. */
  otherwise: Fate | undefined;
  #bytes: Uint8Array;
  #tries = 0;
  #underWay = false;
  readonly #fate: Outcome<Fate> = new Outcome();

  /** Keeps `bytes` as they are: the caller has copied them. */
  constructor(id: number, bytes: Uint8Array) {
    this.id = id;
    this.length = bytes.length;
    this.#bytes = bytes;
  }

  get state(): Delivery["state"] {
    return this.#fate.value?.fate ?? (this.#underWay ? "under-way" : "waiting");
  }

  get tries(): number {
    return this.#tries;
  }

  get outcome(): Promise<Fate> {
    return this.#fate.promise;
  }

  /** Goes to a session. */
  begin(): Uint8Array {
    this.#tries++;
    this.#underWay = true;
    return this.#bytes;
  }

  /** Waits for the next session. */
  waitAgain(): void {
    this.#underWay = false;
  }

  settle(fate: Fate): void {
    this.#fate.settle(fate);
    this.#bytes = NO_BYTES;
  }
}
