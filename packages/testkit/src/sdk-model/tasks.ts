import { earliest, type Instant } from "@usmp/protocol";

/** What a task waits for: resumed with true once `ready` holds, with false when `until` has come first. */
export interface Wait {
  readonly ready: () => boolean;
  readonly until?: Instant | undefined;
}

/** A coroutine, as the SDK's are: each `yield` is an `await` of its. */
export type Task<T> = Generator<Wait, T, boolean>;

export type Settled<T> = { readonly value: T } | { readonly error: Error } | { readonly cancelled: true };

interface Running {
  readonly task: Task<unknown>;
  wait: Wait | undefined;
  readonly settle: (outcome: Settled<never>) => void;
}

/** Runs tasks on a clock of its caller's: nothing in it is asynchronous. */
export class Tasks {
  readonly #running: Running[] = [];

  /** Begins a task; it runs as far as it can at the next run(). The answer cancels it. */
  spawn<T>(task: Task<T>, settle: (outcome: Settled<T>) => void): () => void {
    const running: Running = { task, wait: undefined, settle: settle as Running["settle"] };
    this.#running.push(running);
    return () => this.#end(running, { cancelled: true });
  }

  /** When a task's time runs out next. */
  get timeout(): Instant | undefined {
    let next: Instant | undefined;
    for (const { wait } of this.#running) next = earliest(next, wait?.until);
    return next;
  }

  /** Resumes whatever can go on, in the order in which the tasks began, until none can. */
  run(now: Instant): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const running of [...this.#running]) {
        if (!this.#running.includes(running)) continue;
        if (this.#step(running, now)) moved = true;
      }
    }
  }

  #step(running: Running, now: Instant): boolean {
    const { wait } = running;
    const ready = wait === undefined || wait.ready();
    if (!ready && (wait.until === undefined || wait.until > now)) return false;
    try {
      const { done, value } = running.task.next(ready);
      if (done === true) this.#end(running, { value: value as never });
      else running.wait = value;
    } catch (error) {
      this.#end(running, { error: error as Error });
    }
    return true;
  }

  #end(running: Running, outcome: Settled<never>): void {
    const index = this.#running.indexOf(running);
    if (index === -1) return;
    this.#running.splice(index, 1);
    if ("cancelled" in outcome) running.task.return(undefined);
    running.settle(outcome);
  }
}

/** asyncio.Lock: first come, first served. */
export class Lock {
  readonly #queue: object[] = [];

  *hold<T>(body: () => Task<T>): Task<T> {
    const turn = {};
    this.#queue.push(turn);
    try {
      if (this.#queue[0] !== turn) yield { ready: () => this.#queue[0] === turn };
      return yield* body();
    } finally {
      this.#queue.splice(this.#queue.indexOf(turn), 1);
    }
  }
}
