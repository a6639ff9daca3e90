import { Waiters } from "../waiting.ts";
import type { DropReason, Fate } from "./api.ts";
import { QueuedMessage } from "./delivery.ts";
import { OutboxFullError } from "./errors.ts";
import type { OutboxLimits } from "./settings.ts";

/** Messages without a fate, in order: first those that a session has, then those that wait. */
export class Outbox {
  readonly counts = { delivered: 0, unknown: 0, resent: 0, refused: 0 };
  readonly dropped: Record<DropReason, number> = { "outbox-full": 0, aborted: 0, "link-closed": 0 };
  readonly #limits: OutboxLimits;
  readonly #underWay: Set<QueuedMessage> = new Set();
  readonly #emptied: Waiters<void> = new Waiters();
  #waiting: QueuedMessage[] = [];
  #bytes = 0;
  #taken = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#waiting.length + this.#underWay.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a message, whose bytes are the outbox's to keep from now on. Throws OutboxFullError. */
  push(bytes: Uint8Array): QueuedMessage {
    const { whenFull } = this.#limits;
    if (whenFull === "refuse" && !this.#fits(bytes.length)) {
      this.counts.refused++;
      throw new OutboxFullError(this.length, this.#bytes);
    }
    const message = new QueuedMessage(this.#taken++, bytes);
    while (whenFull === "drop-oldest" && !this.#fits(bytes.length)) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) break;
      this.#forget(oldest, { fate: "dropped", cause: "outbox-full" });
    }
    if (this.#fits(bytes.length)) {
      this.#waiting.push(message);
      this.#bytes += message.length;
    } else this.#drop(message, "outbox-full");
    return message;
  }

  /** The next message for a session. */
  take(): QueuedMessage | undefined {
    const message = this.#waiting.shift();
    if (message !== undefined) this.#underWay.add(message);
    return message;
  }

  /** Decides what became of a message that a session had. */
  settle(message: QueuedMessage, fate: Fate): void {
    this.#underWay.delete(message);
    this.#forget(message, fate);
  }

  /** Everything that the ended session had and that has no fate comes before all that waits, in its order. */
  recall(): void {
    const recalled = [...this.#underWay];
    for (const message of recalled) message.waitAgain();
    this.#underWay.clear();
    this.#waiting = [...recalled, ...this.#waiting];
  }

  /** Gives up a message that waits; one that is under way stays. */
  abandon(message: QueuedMessage): void {
    const index = this.#waiting.indexOf(message);
    if (index === -1) return;
    this.#waiting.splice(index, 1);
    this.#forget(message, { fate: "dropped", cause: "aborted" });
  }

  /** The link has ended: nothing will be sent any more. */
  dropAll(): void {
    this.recall();
    for (const message of this.#waiting.splice(0)) this.#forget(message, { fate: "dropped", cause: "link-closed" });
  }

  /** Resolves when nothing is left without a fate. */
  async emptied(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.length > 0) await this.#emptied.wait(signal);
  }

  #fits(bytes: number): boolean {
    return this.length < this.#limits.messages && this.#bytes + bytes <= this.#limits.bytes;
  }

  #forget(message: QueuedMessage, intended: Fate): void {
    this.#bytes -= message.length;
    const fate = intended.fate === "dropped" ? (message.otherwise ?? intended) : intended;
    if (fate.fate === "dropped") this.#drop(message, fate.cause);
    else {
      this.counts[fate.fate]++;
      message.settle(fate);
    }
    if (this.length === 0) this.#emptied.resolveAll();
  }

  #drop(message: QueuedMessage, cause: DropReason): void {
    this.dropped[cause]++;
    message.settle({ fate: "dropped", cause });
  }
}
