import type { Session, SessionHandler } from "../api.ts";
import { DeliveryUnknownError } from "../errors.ts";
import { Waiters } from "../waiting.ts";
import type { Channel } from "./channel.ts";
import { type FromWorker, Kind, type SessionVerb } from "./records.ts";
import { MESSAGE_COST } from "./remote-session.ts";

/** What every relay of a worker needs. */
export interface RelayContext {
  readonly channel: Channel;
  /** Bytes that may be under way to the parent, or unread there, for one session. */
  readonly window: number;
  readonly handler: SessionHandler | undefined;
  readonly data: unknown;
  tell(record: FromWorker): void;
}

/** A worker's end of one session: hands its messages to the process that listens, and does there what is asked for. */
export class Relay {
  readonly session: Session;
  readonly #number: number;
  readonly #context: RelayContext;
  #credit: number;
  readonly #credited: Waiters<void> = new Waiters();

  constructor(number: number, session: Session, context: RelayContext) {
    this.session = session;
    this.#number = number;
    this.#context = context;
    this.#credit = context.window;
  }

  /** Resolves when the session has ended and all of it was told. */
  async run(): Promise<void> {
    const { session } = this;
    const { tell, handler, data } = this.#context;
    tell({
      type: "session",
      session: this.#number,
      deviceId: session.deviceId,
      sessionId: session.sessionId,
      peer: session.peer,
      keyLabel: session.keyLabel === UNLABELLED ? undefined : session.keyLabel,
    });
    void session.proven.then((proven) => {
      if (proven) tell({ type: "proven", session: this.#number });
    });
    const ended = session.closed.then((reason) => {
      const { breach, statistics, peer } = session;
      tell({ type: "closed", session: this.#number, reason, breach, statistics, peer });
      this.#credited.resolveAll();
    });
    try {
      if (handler === undefined) await this.#relayAll();
      else await handler(session, { data, relay: (message) => this.#relay(message) });
    } catch {
      session.abort();
    }
    await ended;
    tell({ type: "finished", session: this.#number });
  }

  onCredit(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > 0) this.#credited.resolveAll();
  }

  onAccept(messages: number): void {
    this.session.accept(messages);
  }

  send(request: number, message: Uint8Array): void {
    this.session.send(message).then(
      () => this.#context.channel.send(Kind.sent, this.#number, request, NOTHING),
      (error: unknown) => {
        const known = !(error instanceof DeliveryUnknownError);
        this.#context.tell({ type: "unsent", session: this.#number, request, known });
      },
    );
  }

  ask(request: number, verb: SessionVerb): void {
    const { session } = this;
    const answer = (value: (FromWorker & { type: "answer" })["value"]): void =>
      this.#context.tell({ type: "answer", session: this.#number, request, value });
    const ended = (): void => answer(undefined);
    switch (verb) {
      case "ping":
        session.ping().then(answer, ended);
        break;
      case "confirm":
        session.confirm().then(() => answer(true), ended);
        break;
      case "rekey":
        session.rekey().then(() => answer(true), ended);
        break;
      case "close":
        void session.close();
        break;
      case "statistics":
        answer(session.statistics);
        break;
    }
  }

  async #relayAll(): Promise<void> {
    for await (const message of this.session) {
      // Waits only where it has to: a promise for each message would cost more than handing it over.
      if (this.#mustWait) await this.#room();
      this.#hand(message);
    }
  }

  async #relay(message: Uint8Array): Promise<void> {
    if (this.#mustWait) await this.#room();
    this.#hand(message);
  }

  /** What is left when the session has ended is bounded, and goes at once: nobody may read it any more, or only late. */
  get #mustWait(): boolean {
    return (this.#credit <= 0 || this.#context.channel.full) && this.session.open;
  }

  async #room(): Promise<void> {
    while (this.#mustWait) {
      if (this.#context.channel.full) await this.#context.channel.writable();
      else {
        await this.#credited.wait(undefined);
      }
    }
  }

  #hand(message: Uint8Array): void {
    this.#credit -= message.length + MESSAGE_COST;
    this.#context.channel.send(Kind.message, this.#number, 0, message);
  }
}

/** Stands for a key without a label, which this library's own look-ups cannot hand over otherwise. */
export const UNLABELLED = -1;

const NOTHING = new Uint8Array(0);
