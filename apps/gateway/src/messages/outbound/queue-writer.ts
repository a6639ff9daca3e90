import { addMs } from "@usmp/protocol";
import type { Clock } from "usmp";
import type { OutboundRecord } from "../messages.ts";
import type { Batch, NewMessage, QueueStore, Take, Taken } from "./queue-store.ts";

/** What became of a message that a session had. */
export type Fate = "confirmed" | "unknown" | "unsent";

/** Changes in one transaction: enough to share the disk's work, few enough that nobody waits long for it. */
const MOST_IN_A_BATCH = 512;
/** Each brings payloads into memory. */
const MOST_TAKES_IN_A_BATCH = 32;
/** After a failure nothing is tried for so long; senders are told at once. */
const RETRY_MS = 500;

type Change =
  | { readonly kind: "settle"; readonly id: number; readonly fate: Fate; readonly resolve: () => void }
  | {
      readonly kind: "arrive";
      readonly message: NewMessage;
      readonly resolve: (record: OutboundRecord) => void;
      readonly reject: (error: unknown) => void;
    }
  | { readonly kind: "take"; readonly take: Take; readonly resolve: (taken: Taken) => void }
  | {
      readonly kind: "alone";
      readonly work: () => Promise<void>;
      readonly reject: ((error: unknown) => void) | undefined;
    };

export interface QueueWriterOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  /** Called with each change of a state once it is durable, before those who wait for it go on. */
  readonly onChanged: (records: readonly OutboundRecord[]) => void;
  /** Reads everything anew, because it is not known what the database holds: the ids in the writer's hands are given. Rejects: tried again later. */
  readonly reload: (settling: readonly number[]) => Promise<void>;
  /** The database fails, or works again: undefined. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Changes the queue on the disk: those that come together share a transaction, and all are in the order in which they came. What a sender
 * waits for fails with the database; what must become known (fates) or must come first (leaving the queue) waits until it works again.
 */
export class QueueWriter {
  readonly #options: QueueWriterOptions;
  #changes: Change[] = [];
  #running = false;
  #trouble = false;
  /** What the database holds is to be read anew before the next change. */
  #uncertain = false;
  #stopped = false;
  #cancelRetry: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(options: QueueWriterOptions) {
    this.#options = options;
  }

  /** True while the database does not take changes. */
  get trouble(): boolean {
    return this.#trouble;
  }

  /** Resolves once the message is durable in the queue. */
  arrive(message: NewMessage): Promise<OutboundRecord> {
    return new Promise((resolve, reject) => this.#push({ kind: "arrive", message, resolve, reject }));
  }

  /** Resolves when the messages are known as sent on the disk: only then may they leave. */
  take(take: Take): Promise<Taken> {
    return new Promise((resolve) => this.#push({ kind: "take", take, resolve }));
  }

  /** Resolves when the fate is durable. */
  settle(id: number, fate: Fate): Promise<void> {
    return new Promise((resolve) => this.#push({ kind: "settle", id, fate, resolve }));
  }

  /** Work with a transaction of its own, in its place among the others; rejects when the database fails. */
  once<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#push({ kind: "alone", work: async () => resolve(await work()), reject });
    });
  }

  /** Like once(), but tried again until it succeeds. */
  surely(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#push({ kind: "alone", work: async () => resolve(await work()), reject: undefined });
    });
  }

  /** Another process may have changed the database. */
  distrust(): void {
    this.#uncertain = true;
    this.#start();
  }

  /** Writes what waits, once; what the database does not take then is left to the next start. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#start();
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #push(change: Change): void {
    this.#changes.push(change);
    this.#start();
  }

  #start(): void {
    if (this.#running || (this.#cancelRetry !== undefined && !this.#stopped)) return;
    this.#running = true;
    // What comes in the same turn shares the first transaction.
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#changes.length > 0 || (this.#uncertain && !this.#stopped)) {
      const changes = this.#nextBatch();
      try {
        await this.#settle(changes);
        if (changes[0]?.kind === "alone") await changes[0].work();
        else await this.#commit(changes);
        if (this.#trouble) this.#options.onTrouble(undefined);
        this.#trouble = false;
      } catch (error) {
        this.#fail(changes, error);
        if (this.#stopped) this.#giveUp(error);
        else break;
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #settle(changes: readonly Change[]): Promise<void> {
    if (!this.#uncertain) return;
    const settling = [...changes, ...this.#changes].flatMap((change) => (change.kind === "settle" ? [change.id] : []));
    await this.#options.reload(settling);
    this.#uncertain = false;
  }

  #nextBatch(): readonly Change[] {
    let takes = 0;
    const end = this.#changes.findIndex(
      ({ kind }, index) =>
        kind === "alone" || index === MOST_IN_A_BATCH || (kind === "take" && ++takes > MOST_TAKES_IN_A_BATCH),
    );
    return this.#changes.splice(0, end === -1 ? this.#changes.length : Math.max(end, 1));
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const batch = batchOf(changes);
    const { changed, arrived, taken } = await this.#options.store.commit(batch);
    this.#options.onChanged(changed);
    let [arrivals, takes] = [0, 0];
    for (const change of changes) {
      if (change.kind === "settle") change.resolve();
      else if (change.kind === "arrive") change.resolve(arrived[arrivals++] as OutboundRecord);
      else if (change.kind === "take") change.resolve(taken[takes++] as Taken);
    }
  }

  /** Senders hear of it; the rest comes first when the database works again. */
  #fail(changes: readonly Change[], error: unknown): void {
    this.#uncertain = true;
    const kept: Change[] = [];
    for (const change of changes) {
      if ((change.kind === "arrive" || change.kind === "alone") && change.reject !== undefined) change.reject(error);
      else kept.push(change);
    }
    this.#changes = [...kept, ...this.#changes];
    if (!this.#trouble) this.#options.onTrouble(error);
    this.#trouble = true;
    if (this.#stopped) return;
    const { clock } = this.#options;
    this.#cancelRetry = clock.schedule(addMs(clock.now(), RETRY_MS), () => {
      this.#cancelRetry = undefined;
      this.#start();
    });
  }

  /** The process ends, and the database does not work: the next start finds what is on the disk. */
  #giveUp(error: unknown): void {
    for (const change of this.#changes.splice(0)) {
      if (change.kind === "arrive" || change.kind === "alone") change.reject?.(error);
    }
  }
}

function batchOf(changes: readonly Change[]): Batch {
  const fates: { readonly [F in Fate]: number[] } = { confirmed: [], unknown: [], unsent: [] };
  const arriving: NewMessage[] = [];
  const takes: Take[] = [];
  for (const change of changes) {
    if (change.kind === "settle") fates[change.fate].push(change.id);
    else if (change.kind === "arrive") arriving.push(change.message);
    else if (change.kind === "take") takes.push(change.take);
  }
  return { ...fates, arriving, takes };
}
