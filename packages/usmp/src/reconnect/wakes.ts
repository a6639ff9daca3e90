import type { Wake, WakeSource } from "./api.ts";

/** Listens to all sources of wakes at once. */
export class Wakes {
  heard = 0;
  failed = 0;
  readonly #iterators: Set<AsyncIterator<Wake>> = new Set();
  #stopped = false;

  constructor(sources: readonly WakeSource[], onWake: (wake: Wake) => void) {
    for (const source of sources) void this.#listen(source, onWake);
  }

  stop(): void {
    this.#stopped = true;
    // A generator that waits for something of its own answers only after that: nobody waits for it.
    for (const iterator of this.#iterators) iterator.return?.().catch(() => {});
  }

  /** A source that fails is one that says nothing more; the link goes on by its backoff. */
  async #listen(source: WakeSource, onWake: (wake: Wake) => void): Promise<void> {
    try {
      const iterator = source[Symbol.asyncIterator]();
      this.#iterators.add(iterator);
      for (;;) {
        const { done, value } = await iterator.next();
        if (done || this.#stopped) return;
        this.heard++;
        onWake(value);
      }
    } catch {
      this.failed++;
    }
  }
}
