import type { Session } from "../api.ts";
import { Inbox } from "../inbox.ts";
import { Waiters } from "../waiting.ts";
import type { LinkState } from "./api.ts";
import { LinkClosedError } from "./errors.ts";

/** States that one slow reader may be behind. */
const MAX_BEHIND = 64;

/** Tells every reader each state as it begins. */
export class StateFeed {
  readonly #readers: Set<Inbox<LinkState>> = new Set();
  readonly #onState: ((state: LinkState) => void) | undefined;
  readonly #connected: Waiters<Session> = new Waiters();
  #state: LinkState;

  constructor(first: LinkState, onState: ((state: LinkState) => void) | undefined) {
    this.#state = first;
    this.#onState = onState;
    this.#call(first);
  }

  get state(): LinkState {
    return this.#state;
  }

  enter(state: LinkState): void {
    this.#state = state;
    if (state.name === "connected") this.#connected.resolveAll(state.session);
    if (state.name === "closed") this.#connected.rejectAll(() => new LinkClosedError(state.end));
    for (const reader of this.#readers) {
      reader.push(state);
      if (reader.length > MAX_BEHIND) reader.poll();
      if (state.name === "closed") reader.end();
    }
    if (state.name === "closed") this.#readers.clear();
    this.#call(state);
  }

  /** Resolves with the session of the first "connected", this one included. Rejects with LinkClosedError after the end. */
  async connected(signal: AbortSignal | undefined): Promise<Session> {
    signal?.throwIfAborted();
    const state = this.#state;
    if (state.name === "connected" && state.session.open) return state.session;
    if (state.name === "closed") throw new LinkClosedError(state.end);
    return this.#connected.wait(signal);
  }

  async *read(): AsyncGenerator<LinkState, void, undefined> {
    const reader = new Inbox<LinkState>();
    reader.push(this.#state);
    if (this.#state.name === "closed") reader.end();
    else this.#readers.add(reader);
    try {
      for (;;) {
        const state = reader.poll() ?? (await reader.wait(undefined));
        if (state === undefined) return;
        yield state;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  /** On a turn of its own: what an application's callback throws is its own, and the link goes on. */
  #call(state: LinkState): void {
    const onState = this.#onState;
    if (onState !== undefined) queueMicrotask(() => onState(state));
  }
}
