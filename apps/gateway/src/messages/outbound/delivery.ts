import { addMs, TokenBucket } from "@usmp/protocol";
import { type Clock, DeliveryUnknownError, type Session, SessionClosedError } from "usmp";
import type { Taken, TakenMessage } from "./queue-store.ts";
import type { Fate } from "./queue-writer.ts";

/** How a device's queue drains. */
export interface Pace {
  readonly perSecond: number;
  /** Messages whose fate is not known, at most. */
  readonly window: number;
}

/** While more waits than may leave now, a batch leaves so often: over TCP each costs a PING, of which five a second are allowed. */
const BATCH_MS = 200;
const MOST_IN_A_BATCH = 64;
const MOST_UNCONFIRMED = 256;

/** From MessageSettings.drainPerSecond. */
export function paceOf(drainPerSecond: number): Pace {
  return { perSecond: drainPerSecond, window: Math.max(1, Math.min(MOST_UNCONFIRMED, Math.floor(drainPerSecond))) };
}

/** One session's share of a device's messages a second. It lasts as long as the session, however often its queue is empty. */
export function newBucket({ perSecond }: Pace, clock: Clock): TokenBucket {
  return new TokenBucket({ perSecond, burst: Math.max(1, (perSecond * BATCH_MS) / 1_000) }, clock.now());
}

export interface DeliveryOptions {
  readonly session: Session;
  readonly pace: Pace;
  readonly bucket: TokenBucket;
  readonly clock: Clock;
  /** Messages of this device that wait, sent ones included. */
  readonly waiting: () => number;
  /** The oldest that wait behind `after`: once it resolves the disk knows them as sent. */
  readonly take: (after: number, limit: number) => Promise<Taken>;
  /** Resolves when the fate is durable. */
  readonly settle: (id: number, fate: Fate) => Promise<void>;
  /** Called once, when nothing of this delivery is under way any more: the queue was empty, or the session has ended. */
  readonly onOver: () => void;
}

/**
 * Takes a device's messages over one session, in order: some at a time, within a pace and a window, each known as sent on the disk before
 * its first byte leaves. What becomes of each is written down; a next session begins only after that.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  /** Handed to the session, fate unknown. */
  readonly #underWay: Set<number> = new Set();
  /** Taken, and their end not yet durable. */
  #unsettled = 0;
  /** The newest that was taken: this session gets each but once. */
  #after = 0;
  #taking = false;
  #stopped = false;
  #over = false;
  /** Nothing was found though something waits: until something changes. */
  #dry = false;
  #proven = false;
  #cancelAlarm: (() => void) | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    const { session } = options;
    void session.closed.then(() => this.stop());
    void session.proven.then((proven) => {
      this.#proven = proven;
      this.#pump();
    });
    // A device that only listens would prove itself with its first keep-alive: the PONG comes sooner.
    setImmediate(() => {
      if (!this.#proven && session.open) session.ping().catch(() => {});
    });
  }

  get underWay(): Iterable<number> {
    return this.#underWay;
  }

  /** Something came, or was cancelled. */
  wake(): void {
    this.#dry = false;
    this.#pump();
  }

  /** Nothing more leaves over this session. */
  stop(): void {
    this.#stopped = true;
    this.#cancelAlarm?.();
    this.#pump();
  }

  #pump(): void {
    if (this.#taking || this.#over) return;
    const { waiting, session } = this.#options;
    const available = waiting() - this.#unsettled;
    if (this.#stopped || !session.open || available <= 0) {
      if (this.#unsettled > 0) return;
      this.#over = true;
      this.#cancelAlarm?.();
      this.#options.onOver();
      return;
    }
    if (!this.#proven || this.#dry) return;
    const wanted = Math.min(available, this.#options.pace.window - this.#unsettled, MOST_IN_A_BATCH);
    if (wanted <= 0) return;
    const limit = this.#spend(wanted);
    if (limit > 0) void this.#take(limit);
    else this.#waitForPace(wanted);
  }

  #spend(wanted: number): number {
    const { bucket, clock } = this.#options;
    let spent = 0;
    while (spent < wanted && bucket.take(clock.now())) spent++;
    return spent;
  }

  /** One message as soon as its turn has come; of many, some at a time. */
  #waitForPace(wanted: number): void {
    if (this.#cancelAlarm !== undefined) return;
    const { pace, clock } = this.#options;
    const one = 1_000 / pace.perSecond;
    const delayMs = Math.max(one, Math.min(wanted * one, BATCH_MS));
    this.#cancelAlarm = clock.schedule(addMs(clock.now(), delayMs), () => {
      this.#cancelAlarm = undefined;
      this.#pump();
    });
  }

  async #take(limit: number): Promise<void> {
    this.#taking = true;
    const { messages, nothing } = await this.#options.take(this.#after, limit);
    this.#taking = false;
    if (nothing) this.#dry = true;
    for (const { id } of messages) {
      this.#after = id;
      this.#unsettled++;
      this.#underWay.add(id);
    }
    for (const message of messages) this.#hand(message);
    this.#pump();
  }

  #hand({ id, data }: TakenMessage): void {
    const { session } = this.#options;
    // What was taken while the end came has not left.
    const sent = this.#stopped ? Promise.reject(NOT_SENT) : session.send(data);
    sent
      .then(() => session.confirm())
      .then(
        () => this.#settle(id, "confirmed"),
        (error: unknown) => this.#settle(id, fateOf(error)),
      );
  }

  #settle(id: number, fate: Fate): void {
    // Behind one that did not arrive nothing may leave over this session.
    if (fate !== "confirmed") this.#stopped = true;
    this.#underWay.delete(id);
    void this.#options.settle(id, fate).then(() => {
      this.#unsettled--;
      this.#pump();
    });
  }
}

const NOT_SENT = new SessionClosedError({ code: "aborted" });

function fateOf(error: unknown): Fate {
  if (error instanceof DeliveryUnknownError) return "unknown";
  return error instanceof SessionClosedError ? "unsent" : "unknown";
}
