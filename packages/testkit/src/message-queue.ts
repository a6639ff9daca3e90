/** What came, waiting to be taken; and who waits for it. Ends with an error that every later take() gets too. */
export class MessageQueue<T> {
  readonly #items: T[] = [];
  readonly #takers: { resolve(item: T): void; reject(error: Error): void }[] = [];
  #end: Error | undefined;

  push(item: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker.resolve(item);
  }

  /** What is there can still be taken. */
  end(error: Error): void {
    this.#end ??= error;
    for (const taker of this.#takers.splice(0)) taker.reject(this.#end);
  }

  get length(): number {
    return this.#items.length;
  }

  /** The next item; rejects when none came in `timeoutMs`, naming `what` was waited for, or when the queue has ended. */
  take(what: string, timeoutMs: number): Promise<T> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift() as T);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(new Error(`no ${what} within ${timeoutMs} ms`));
      }, timeoutMs);
      const taker = {
        resolve(taken: T): void {
          clearTimeout(timer);
          resolve(taken);
        },
        reject(error: Error): void {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#takers.push(taker);
    });
  }
}
