import { addMs, type Instant } from "../time.ts";
import type { KeyLimits } from "./config.ts";

/** What a key has had enough of. */
export type KeyLimit = "frames" | "bytes" | "age";

/** How much of their limits the keys of one epoch have used, both directions together: each alone is under them then, too. */
export class KeyLife {
  readonly #limits: KeyLimits;
  #since: Instant;
  #frames = 0;
  #bytes = 0;

  constructor(limits: KeyLimits, now: Instant) {
    this.#limits = limits;
    this.#since = now;
  }

  /** Counts a frame that was sealed or opened; true when a limit is reached. */
  note(bytes: number): boolean {
    this.#frames++;
    this.#bytes += bytes;
    return this.#frames >= this.#limits.afterFrames || this.#bytes >= this.#limits.afterBytes;
  }

  /** New keys are in use. */
  renew(now: Instant): void {
    this.#since = now;
    this.#frames = 0;
    this.#bytes = 0;
  }

  /** The limit that is reached, if one is. */
  reached(now: Instant): KeyLimit | undefined {
    if (this.#frames >= this.#limits.afterFrames) return "frames";
    if (this.#bytes >= this.#limits.afterBytes) return "bytes";
    return now >= this.#until ? "age" : undefined;
  }

  /** When a limit is reached: that of age, or at once. */
  get timeout(): Instant {
    return this.reached(this.#since) === undefined ? this.#until : this.#since;
  }

  get #until(): Instant {
    return addMs(this.#since, this.#limits.afterMs);
  }
}
