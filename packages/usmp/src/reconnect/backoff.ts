/** The shape of a backoff, checked. Milliseconds. */
export interface BackoffShape {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/**
 * Exponential backoff with full jitter: each wait is drawn from 0 to a ceiling that grows. Among the usual ways to jitter it makes a crowd
 * collide least for the work that it causes (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
export class Backoff {
  readonly #shape: BackoffShape;
  readonly #fraction: () => number;
  #failures = 0;

  /** `fraction` answers random numbers in [0, 1). */
  constructor(shape: BackoffShape, fraction: () => number) {
    this.#shape = shape;
    this.#fraction = fraction;
  }

  /** How long to wait after one more failure, in milliseconds; the ceiling is at most `maxMs`. */
  next(maxMs: number = this.#shape.maxMs): number {
    const { initialMs, factor } = this.#shape;
    const ceiling = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures++;
    return this.#fraction() * ceiling;
  }

  reset(): void {
    this.#failures = 0;
  }
}
