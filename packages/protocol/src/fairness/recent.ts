import { addMs, type Instant } from "../time.ts";

/**
 * What was noted lately, by name: at most `capacity` names, each for `forMs` after it was last noted. When there are too many, the
 * one that was noted longest ago is forgotten.
 */
export class Recent {
  readonly #capacity: number;
  readonly #forMs: number;
  readonly #onForgotten: ((name: string) => void) | undefined;
  /** In the order in which they were last noted. */
  readonly #notedAt: Map<string, Instant> = new Map();
  /** Nothing is too old before: a Map in which much was deleted is slow to say what is first. */
  #expiresAt: Instant | undefined;

  /** `onForgotten` hears each name that leaves. */
  constructor(capacity: number, forMs: number, onForgotten?: (name: string) => void) {
    this.#capacity = capacity;
    this.#forMs = forMs;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#notedAt.size;
  }

  /** True when the name was not known. */
  note(name: string, now: Instant): boolean {
    this.expire(now);
    const isNew = !this.#notedAt.delete(name);
    this.#notedAt.set(name, now);
    if (this.#notedAt.size > this.#capacity) this.#forget(firstOf(this.#notedAt) as string);
    return isNew;
  }

  has(name: string, now: Instant): boolean {
    this.expire(now);
    return this.#notedAt.has(name);
  }

  /** Forgets what is too old. */
  expire(now: Instant): void {
    if (this.#expiresAt !== undefined && now < this.#expiresAt) return;
    this.#expiresAt = addMs(now, this.#forMs);
    for (const [name, at] of this.#notedAt) {
      const until = addMs(at, this.#forMs);
      if (now < until) {
        this.#expiresAt = until;
        return;
      }
      this.#forget(name);
    }
  }

  #forget(name: string): void {
    this.#notedAt.delete(name);
    this.#onForgotten?.(name);
  }
}

function firstOf(map: ReadonlyMap<string, unknown>): string | undefined {
  return map.keys().next().value;
}
