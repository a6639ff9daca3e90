import type { MessageHandler } from "./api.ts";
import { DeliveryUnknownError, SessionClosedError } from "./errors.ts";
import { DONE } from "./waiting.ts";

/** Calls a session's handler with one message after the other: see Session.onMessage in api.ts. */
export class Handover {
  readonly handler: MessageHandler;
  readonly #next: () => Uint8Array | undefined;
  /** A handler's promise is awaited before the next message is handed over. */
  #busy = false;
  #stopped = false;

  /** `next` takes a message that was kept, which is read with that. */
  constructor(handler: MessageHandler, next: () => Uint8Array | undefined) {
    this.handler = handler;
    this.#next = next;
  }

  /** False while the handler takes its time: what comes then is kept. */
  get ready(): boolean {
    return !this.#busy;
  }

  /** No message is handed over any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Hands over what was kept, until the handler takes its time. */
  drain(): void {
    while (!this.#stopped && !this.#busy) {
      const message = this.#next();
      if (message === undefined) return;
      this.handle(message);
    }
  }

  handle(message: Uint8Array): void {
    try {
      const handled = this.handler(message);
      if (handled === undefined || handled === DONE) return;
      this.#busy = true;
      const goOn = (): void => {
        this.#busy = false;
        this.drain();
      };
      handled.then(goOn, (error: unknown) => {
        goOn();
        // The session's end is told by `closed`; all else is the application's to see.
        if (!(error instanceof SessionClosedError || error instanceof DeliveryUnknownError)) throw error;
      });
    } catch (error) {
      // Not into the pump, which has more to do.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
