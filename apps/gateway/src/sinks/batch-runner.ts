import { addMs, type Instant } from "@usmp/protocol";
import type { Clock } from "usmp";
import { messageOf } from "../master/secret-file.ts";
import { WaitingItems } from "./waiting-items.ts";

export interface RunnerLimits {
  /** Items and bytes that may wait; beyond that the oldest are dropped. */
  readonly items: number;
  readonly bytes: number;
  /** Of one batch. */
  readonly batchItems: number;
  readonly batchBytes: number;
  /** A delivery that takes longer is aborted, and counts as failed. */
  readonly timeoutMs: number;
  /** The first wait after a failure, doubled with each further one up to the last; each is drawn from its upper half. */
  readonly firstRetryMs: number;
  readonly lastRetryMs: number;
  /** A batch that was tried for so long is dropped. */
  readonly retryForMs: number;
  /** What waits at the end may take so long. */
  readonly closeMs: number;
}

export const DEFAULT_RUNNER_LIMITS: RunnerLimits = {
  items: 10_000,
  bytes: 16_777_216,
  batchItems: 100,
  batchBytes: 262_144,
  timeoutMs: 30_000,
  firstRetryMs: 1_000,
  lastRetryMs: 60_000,
  retryForMs: 3_600_000,
  closeMs: 1_500,
};

/**
 * buffer-full: newer ones needed the room. refused: trying again is useless, said who should take it. gave-up: tried for `retryForMs` in vain.
 * sink-error: likewise, and what failed last was no SinkError: look for a fault in the sink. shutdown: it waited when the gateway ended.
 */
export type DropReason = "buffer-full" | "refused" | "gave-up" | "sink-error" | "shutdown";

export interface RunnerStatistics {
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly delivered: number;
  readonly failures: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Why the batch that is being tried has failed last; undefined when all is well. */
  readonly problem: string | undefined;
}

export interface RunnerParts<T> {
  /** May throw, reject, hang and ignore `signal`: none of that reaches whoever offers. */
  readonly deliver: (batch: readonly T[], signal: AbortSignal) => Promise<void>;
  readonly close?: (() => Promise<void>) | undefined;
  readonly sizeOf: (item: T) => number;
  readonly limits: RunnerLimits;
  readonly clock: Clock;
  /** Answers random numbers in [0, 1). */
  readonly random: () => number;
  /** Hears when trouble begins and ends. */
  readonly onTrouble: (message: string) => void;
}

/** The receiver's wish is heard up to here. */
const LONGEST_RETRY_AFTER_MS = 600_000;
/** Closing a sink, beside `closeMs` for what waits. */
const CLOSE_ITSELF_MS = 500;

/**
 * Hands items on in batches: in order, one batch at a time, again after a failure, at a pace of its own. offer() never waits and never
 * throws. A delivery that ignores its `signal` keeps its runner, and no other, from going on; memory stays bounded.
 */
export class BatchRunner<T> {
  readonly #parts: RunnerParts<T>;
  readonly #waiting: WaitingItems<T>;
  readonly #dropped: Record<DropReason, number> = {
    "buffer-full": 0,
    refused: 0,
    "gave-up": 0,
    "sink-error": 0,
    shutdown: 0,
  };
  #delivered = 0;
  #failures = 0;
  #problem: string | undefined;
  /** While something is under way. */
  #work: Promise<void> | undefined;
  #underWay: { readonly items: number; readonly abort: AbortController } | undefined;
  #endPause: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(parts: RunnerParts<T>) {
    this.#parts = parts;
    this.#waiting = new WaitingItems(parts.limits, parts.sizeOf);
  }

  get statistics(): RunnerStatistics {
    return {
      waiting: this.#waiting.length + (this.#underWay?.items ?? 0),
      waitingBytes: this.#waiting.bytes,
      delivered: this.#delivered,
      failures: this.#failures,
      dropped: { ...this.#dropped },
      problem: this.#problem,
    };
  }

  offer(item: T): void {
    if (this.#closing !== undefined) return this.#drop("shutdown", 1);
    const gone = this.#waiting.push(item);
    if (gone > 0) this.#drop("buffer-full", gone);
    this.#work ??= this.#run();
  }

  /** Tries what waits once more, and ends; bounded by `limits.closeMs` and half a second. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #run(): Promise<void> {
    // What comes within one turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve));
    const { batchItems, batchBytes } = this.#parts.limits;
    while (!this.#closed && this.#waiting.length > 0) {
      await this.#deliver(this.#waiting.take({ items: batchItems, bytes: batchBytes }));
    }
    this.#work = undefined;
  }

  async #deliver(batch: readonly T[]): Promise<void> {
    const { limits, clock } = this.#parts;
    const since = clock.now();
    for (let failures = 0; ; failures++) {
      const failure = await this.#attempt(batch);
      // close() has counted what was under way at its end.
      if (this.#closed) return;
      if (failure === undefined) return this.#noteDelivered(batch.length);
      this.#noteFailure(failure);
      const reason = this.#reasonToDrop(failure, since);
      if (reason !== undefined) return this.#drop(reason, batch.length);
      const ceiling = Math.min(limits.lastRetryMs, limits.firstRetryMs * 2 ** failures);
      const backoff = (ceiling * (1 + this.#parts.random())) / 2;
      await this.#pause(Math.max(backoff, Math.min(failure.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS)), batch.length);
      if (this.#closed) return;
    }
  }

  async #attempt(batch: readonly T[]): Promise<Failure | undefined> {
    const { deliver, clock, limits } = this.#parts;
    const abort = new AbortController();
    this.#underWay = { items: batch.length, abort };
    const cancel = clock.schedule(addMs(clock.now(), limits.timeoutMs), () =>
      abort.abort(new Error(`it took longer than ${limits.timeoutMs} ms`)),
    );
    try {
      await deliver(batch, abort.signal);
      return undefined;
    } catch (error) {
      return failureOf(error);
    } finally {
      cancel();
      this.#underWay = undefined;
    }
  }

  #reasonToDrop({ retry, known }: Failure, since: Instant): DropReason | undefined {
    if (!retry) return "refused";
    if (this.#closing !== undefined) return "shutdown";
    if (this.#parts.clock.now() - since < this.#parts.limits.retryForMs) return undefined;
    return known ? "gave-up" : "sink-error";
  }

  /** Ends early when the runner is closed. */
  #pause(milliseconds: number, items: number): Promise<void> {
    const { clock } = this.#parts;
    this.#underWay = { items, abort: new AbortController() };
    return new Promise((resolve) => {
      const cancel = clock.schedule(addMs(clock.now(), milliseconds), () => this.#endPause?.());
      this.#endPause = () => {
        cancel();
        this.#endPause = undefined;
        this.#underWay = undefined;
        resolve();
      };
    });
  }

  #noteDelivered(items: number): void {
    this.#delivered += items;
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    const lost = Object.values(this.#dropped).reduce((sum, count) => sum + count, 0);
    this.#parts.onTrouble(`delivers again; dropped so far: ${lost}`);
  }

  #noteFailure({ message }: Failure): void {
    this.#failures++;
    const first = this.#problem === undefined;
    this.#problem = message;
    if (first) this.#parts.onTrouble(`cannot deliver: ${message}`);
  }

  #drop(reason: DropReason, items: number): void {
    const first = this.#dropped[reason] === 0;
    this.#dropped[reason] += items;
    if (first) this.#parts.onTrouble(`drops messages (${reason}); the metrics count them`);
  }

  async #close(): Promise<void> {
    // The clock's alarms do not keep the process alive, and at the end nothing else may.
    const alive = setInterval(() => {}, CLOSE_ITSELF_MS);
    try {
      await this.#closeInTime();
    } finally {
      clearInterval(alive);
    }
  }

  async #closeInTime(): Promise<void> {
    const { clock, limits, close } = this.#parts;
    this.#endPause?.();
    const inTime = await within(clock, limits.closeMs, this.#work ?? Promise.resolve());
    this.#closed = true;
    const left = this.#waiting.clear() + (inTime ? 0 : (this.#underWay?.items ?? 0));
    if (left > 0) this.#drop("shutdown", left);
    this.#underWay?.abort.abort(new Error("the gateway ends"));
    if (close === undefined) return;
    await within(
      clock,
      CLOSE_ITSELF_MS,
      (async () => close())().catch((error) => this.#parts.onTrouble(`cannot be closed: ${messageOf(error)}`)),
    );
  }
}

interface Failure {
  readonly message: string;
  readonly retry: boolean;
  readonly retryAfterMs: number | undefined;
  /** It says itself whether another try is of use, as a SinkError does: a sink in a module of its own need not import that class. */
  readonly known: boolean;
}

function failureOf(error: unknown): Failure {
  const { retry, retryAfterMs } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  return {
    message: messageOf(error),
    retry: retry !== false,
    retryAfterMs: typeof retryAfterMs === "number" && retryAfterMs > 0 ? retryAfterMs : undefined,
    known: typeof retry === "boolean",
  };
}

/** Whether `work` ended in time. It never rejects. */
function within(clock: Clock, milliseconds: number, work: Promise<void>): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(addMs(clock.now(), milliseconds), () => resolve(false));
    void work.then(() => {
      cancel();
      resolve(true);
    });
  });
}
