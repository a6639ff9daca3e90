import { UsageError } from "@usmp/protocol";

/** Messages that may wait unread, whatever their size: an empty one costs memory too. */
const MAX_UNREAD_MESSAGES = 4_096;

/** What a session holds for its application, against what it may hold: unread messages, and those that it has to accept. */
export class Unread {
  bytes = 0;
  #messages = 0;
  readonly #limit: number;
  /** Sizes of messages that were read and not accepted, the oldest first; absent where reading is accepting. */
  readonly #read: number[] | undefined;
  #accepted = 0;

  constructor(limitBytes: number, awaitsAcceptance: boolean) {
    this.#limit = limitBytes;
    this.#read = awaitsAcceptance ? [] : undefined;
  }

  get full(): boolean {
    return this.bytes >= this.#limit || this.#messages >= MAX_UNREAD_MESSAGES;
  }

  /** True when half of what may wait is free again: then the peer may go on. */
  get halfFree(): boolean {
    return this.bytes <= this.#limit / 2 && this.#messages <= MAX_UNREAD_MESSAGES / 2;
  }

  /** A message came; `read`: a reader waited for it. */
  noteReceived(bytes: number, read: boolean): void {
    if (read && this.#read === undefined) return;
    this.bytes += bytes;
    this.#messages++;
    if (read) this.noteRead(bytes);
  }

  /** One of those that waited was read. */
  noteRead(bytes: number): void {
    if (this.#read === undefined) this.#release(bytes);
    else this.#read.push(bytes);
  }

  /** Answers how many were accepted in all; undefined where reading is accepting. */
  accept(messages: number): number | undefined {
    if (this.#read === undefined) return undefined;
    countAfterAccepting(this.#read.length, messages);
    for (const bytes of this.#read.splice(0, messages)) this.#release(bytes);
    this.#accepted += messages;
    return this.#accepted;
  }

  #release(bytes: number): void {
    this.bytes -= bytes;
    this.#messages--;
  }
}

/** How many of `read` messages are left to be accepted then. Throws UsageError "invalid-option". */
export function countAfterAccepting(read: number, messages: number): number {
  if (Number.isInteger(messages) && messages >= 0 && messages <= read) return read - messages;
  throw new UsageError("invalid-option", `accept(${messages}): ${read} messages were read and are not accepted yet`);
}
