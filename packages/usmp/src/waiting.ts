/**
 * `waited` with a way out: rejects with the signal's reason when that comes first, after `giveUp` has taken the wait back.
 * The listener is removed either way.
 */
export function aborted<T>(waited: Promise<T>, signal: AbortSignal, giveUp: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      giveUp();
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = (): void => signal.removeEventListener("abort", onAbort);
    waited.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error) => {
        settle();
        reject(error);
      },
    );
  });
}

/** The promise of what is done already: whoever is given it need not wait. */
export const DONE: Promise<void> = Promise.resolve();

/** A promise with its two ends outside: for what one event settles later. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}

/** Something that is decided once. Its promise exists only when somebody asks: thousands of idle sessions have one each. */
export class Outcome<T> {
  #deferred: Deferred<T> | undefined;
  #settled: { readonly value: T } | undefined;

  /** The value, once it is decided. */
  get value(): T | undefined {
    return this.#settled?.value;
  }

  get promise(): Promise<T> {
    if (this.#deferred === undefined) {
      this.#deferred = deferred<T>();
      if (this.#settled !== undefined) this.#deferred.resolve(this.#settled.value);
    }
    return this.#deferred.promise;
  }

  /** Decides; later calls change nothing. */
  settle(value: T): void {
    if (this.#settled !== undefined) return;
    this.#settled = { value };
    this.#deferred?.resolve(value);
  }
}

/** Callers that wait for the same event; each may give up alone. */
export class Waiters<T> {
  #waiting: Set<Deferred<T>> | undefined;

  /** True when somebody waits already: what they asked for need not be asked for again. */
  get waiting(): boolean {
    return this.#waiting !== undefined && this.#waiting.size > 0;
  }

  wait(signal: AbortSignal | undefined): Promise<T> {
    const waiter = deferred<T>();
    this.#waiting ??= new Set();
    this.#waiting.add(waiter);
    return signal === undefined ? waiter.promise : aborted(waiter.promise, signal, () => this.#waiting?.delete(waiter));
  }

  resolveAll(value: T): void {
    for (const { resolve } of this.#take()) resolve(value);
  }

  /** The error is made only where somebody waits: its stack costs more than the rest of a session's end. */
  rejectAll(makeError: () => Error): void {
    for (const { reject } of this.#take()) reject(makeError());
  }

  #take(): Iterable<Deferred<T>> {
    const all = this.#waiting ?? [];
    this.#waiting = undefined;
    return all;
  }
}
