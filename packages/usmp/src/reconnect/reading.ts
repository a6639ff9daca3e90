import { Inbox } from "../inbox.ts";
import type { LiveSession } from "../session.ts";
import { Waiters } from "../waiting.ts";

/**
 * The messages of one session after the other, in order. They wait in their session, whose own limits hold its peer back; here is never
 * more than one.
 */
export class Reading {
  received = 0;
  readonly #limitBytes: number;
  readonly #inbox: Inbox<Uint8Array> = new Inbox();
  readonly #taken: Waiters<void> = new Waiters();
  /** Ended ones first. */
  readonly #sessions: Set<LiveSession> = new Set();
  #turn: Promise<void> = Promise.resolve();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** What the next session may let wait: a reader that stands still must not cost more with every session that comes and goes. */
  get room(): number {
    let unread = 0;
    for (const session of this.#sessions) unread += session.unreadBytes;
    return Math.max(0, this.#limitBytes - unread);
  }

  /** Reads this session once all before it have ended and were read. */
  add(session: LiveSession): void {
    this.#sessions.add(session);
    this.#turn = this.#turn.then(() => this.#readAll(session));
  }

  /** No session will come any more. */
  end(): void {
    void this.#turn.then(() => this.#inbox.end());
  }

  async receive(signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted();
    const message = this.#inbox.poll();
    if (message === undefined) return this.#inbox.wait(signal);
    this.#taken.resolveAll();
    return message;
  }

  async #readAll(session: LiveSession): Promise<void> {
    for await (const message of session) {
      this.received++;
      if (!this.#inbox.push(message)) await this.#taken.wait(undefined);
    }
    this.#sessions.delete(session);
  }
}
