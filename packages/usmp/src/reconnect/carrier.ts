import type { CloseReason } from "@usmp/protocol";
import { DeliveryUnknownError } from "../errors.ts";
import type { LiveSession } from "../session.ts";
import { Outcome } from "../waiting.ts";
import type { QueuedMessage } from "./delivery.ts";
import type { Outbox } from "./outbox.ts";

/** Messages that a session holds before it has taken (TCP) or delivered (UDP) them: enough to keep it busy; the rest may still be dropped. */
const MAX_HELD = 32;

export interface CarrierOptions {
  /** TCP: a message is delivered when a PING behind it was answered. */
  readonly confirm: boolean;
  readonly resendUnknown: boolean;
  /** Something left that the peer must answer. */
  readonly onAsked: () => void;
}

/** Written over TCP: delivered once the PONG of that number has come. */
interface Written {
  readonly message: QueuedMessage;
  readonly pong: number;
}

/** Carries the outbox's messages over one session, and finds out what became of each. */
export class Carrier {
  readonly #session: LiveSession;
  readonly #outbox: Outbox;
  readonly #options: CarrierOptions;
  readonly #over: Outcome<void> = new Outcome();
  #written: Written[] = [];
  #held = 0;
  #pinging = false;
  #reason: CloseReason | undefined;

  constructor(session: LiveSession, outbox: Outbox, options: CarrierOptions) {
    this.#session = session;
    this.#outbox = outbox;
    this.#options = options;
  }

  /** Resolves after the session's end, when every message that it had has its fate or is back in the outbox. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** True while something waits for the peer's answer. */
  get asking(): boolean {
    return this.#pinging || (this.#held > 0 && this.#session.transport === "udp");
  }

  /** Hands over what the session may hold. */
  pump(): void {
    while (this.#reason === undefined && this.#held < MAX_HELD) {
      const message = this.#outbox.take();
      if (message === undefined) return;
      this.#held++;
      if (message.otherwise !== undefined) this.#outbox.counts.resent++;
      this.#session.send(message.begin()).then(
        () => this.#onSent(message),
        (error: unknown) => this.#onFailed(message, error),
      );
      if (this.#session.transport === "udp") this.#options.onAsked();
    }
  }

  /** A PONG has come. */
  onPong(): void {
    this.#pinging = false;
    const { answered } = this.#session.pings;
    const still = this.#written.findIndex(({ pong }) => pong > answered);
    const confirmed = this.#written.splice(0, still === -1 ? this.#written.length : still);
    for (const { message } of confirmed) this.#deliver(message);
    if (this.#written.length > 0) this.#ask();
    this.#next();
  }

  /** The session has ended. Idempotent. */
  end(reason: CloseReason): void {
    this.#reason ??= reason;
    for (const { message } of this.#written.splice(0)) this.#lose(message, reason);
    this.#finishIfSettled();
  }

  #onSent(message: QueuedMessage): void {
    this.#held--;
    if (this.#session.transport === "udp" || !this.#options.confirm) this.#deliver(message);
    else if (this.#reason !== undefined) this.#lose(message, this.#reason);
    else {
      // PINGs that left before may have overtaken nothing: only the next one's answer says anything about this message.
      this.#written.push({ message, pong: this.#session.pings.sent + 1 });
      this.#ask();
    }
    this.#next();
  }

  #onFailed(message: QueuedMessage, error: unknown): void {
    this.#held--;
    if (error instanceof DeliveryUnknownError) this.#lose(message, error.reason);
    // Of any other, nothing left: it stays in the outbox, and recall() brings it back.
    this.#next();
  }

  #next(): void {
    if (this.#reason === undefined) this.pump();
    else this.#finishIfSettled();
  }

  #ask(): void {
    if (this.#pinging) return;
    this.#pinging = true;
    this.#options.onAsked();
    // A PING that waits for its pace, or for the answer to another, still comes behind what was written.
    this.#session.ping().catch(() => {});
  }

  #finishIfSettled(): void {
    if (this.#held > 0 || this.#over.value !== undefined) return;
    this.#outbox.recall();
    this.#over.settle();
  }

  #deliver(message: QueuedMessage): void {
    this.#outbox.settle(message, { fate: "delivered", sessionId: this.#session.sessionId });
  }

  /** The message may or may not have arrived. */
  #lose(message: QueuedMessage, reason: CloseReason): void {
    const { sessionId } = this.#session;
    const fate = { fate: "unknown", sessionId, error: new DeliveryUnknownError(reason) } as const;
    if (this.#options.resendUnknown) message.otherwise = fate;
    else this.#outbox.settle(message, fate);
  }
}
