import type { MessageHandler, WaitOptions } from "./api.ts";
import { Handover } from "./handover.ts";
import { Inbox, toResult } from "./inbox.ts";

/**
 * The reading half of a session, wherever it lives: by receive(), iterated, or by a handler. See Session in api.ts. What came is put into
 * `inbox`, or, while `handsOver`, given to handOver(), by the session, which knows what that frees at its peer.
 */
export abstract class MessageReader {
  protected readonly inbox: Inbox<Uint8Array> = new Inbox();
  #handover: Handover | undefined;

  get onMessage(): MessageHandler | undefined {
    return this.#handover?.handler;
  }

  set onMessage(handler: MessageHandler | undefined) {
    this.#handover?.stop();
    this.#handover = handler && new Handover(handler, () => this.#takeKept());
    this.#handover?.drain();
  }

  receive({ signal }: WaitOptions = {}): Promise<Uint8Array | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const message = this.#takeKept();
    return message === undefined ? this.inbox.wait(signal) : Promise.resolve(message);
  }

  /** Leaving the loop early leaves the session open. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return { next: () => this.#next() };
  }

  /** A message that had waited was read: so many bytes of what may wait are free. */
  protected abstract noteRead(bytes: number): void;

  /** True while a handler takes the next message at once. */
  protected get handsOver(): boolean {
    return this.#handover?.ready === true && this.inbox.length === 0;
  }

  protected handOver(message: Uint8Array): void {
    this.#handover?.handle(message);
  }

  #takeKept(): Uint8Array | undefined {
    const message = this.inbox.poll();
    if (message !== undefined) this.noteRead(message.length);
    return message;
  }

  #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const message = this.#takeKept();
    return message === undefined ? this.inbox.waitForResult() : Promise.resolve(toResult(message));
  }
}
