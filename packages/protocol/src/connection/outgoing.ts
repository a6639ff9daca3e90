import { fragmentAt, fragmentCount, fragmentType } from "../record/fragment.ts";
import { copyBytes } from "../wire/bytes.ts";
import type { FrameType } from "../wire/frame.ts";

/** One frame's worth of a message: what to seal next. */
export interface Fragment {
  readonly type: FrameType;
  readonly plaintext: Uint8Array;
}

interface Message {
  readonly id: number;
  readonly data: Uint8Array;
}

/** Messages that wait for their turn on a datagram session, and the one whose frames are on their way. */
export class OutgoingMessages {
  readonly #waiting: Message[] = [];
  /** Fragments of the first message that were taken; all but the last taken are acknowledged. */
  #taken = 0;
  #nextId = 0;

  /** Queues a copy of `message` and answers its id; throws UsageError above 1,808 bytes. */
  push(message: Uint8Array): number {
    fragmentCount(message.length);
    this.#waiting.push({ id: this.#nextId, data: copyBytes(message) });
    return this.#nextId++;
  }

  /** True from the first frame of a message until its last was acknowledged. */
  get midMessage(): boolean {
    return this.#taken > 0;
  }

  /** The same of a message that takes more than one frame: nothing may come between them (spec section 4). */
  get midFragments(): boolean {
    return this.midMessage && this.nextIsFragmented;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** True when the first message that waits takes more than one frame. */
  get nextIsFragmented(): boolean {
    const message = this.#waiting[0];
    return message !== undefined && fragmentCount(message.data.length) > 1;
  }

  /** The next fragment to seal. There must be a message, and the fragment before must have been acknowledged. */
  take(): Fragment {
    const { data } = this.#first;
    const index = this.#taken++;
    return { type: fragmentType(index, fragmentCount(data.length)), plaintext: fragmentAt(data, index) };
  }

  /** The fragment taken last was acknowledged; answers the id of the message when that was its last. */
  acknowledge(): number | undefined {
    const { id, data } = this.#first;
    if (this.#taken < fragmentCount(data.length)) return undefined;
    this.#waiting.shift();
    this.#taken = 0;
    return id;
  }

  get #first(): Message {
    return this.#waiting[0] as Message;
  }

  /** Ids of messages that are not wholly acknowledged: the one on its way, if any, and those that wait. */
  pending(): { readonly unknown: number[]; readonly unsent: number[] } {
    const ids = this.#waiting.map(({ id }) => id);
    return this.midMessage ? { unknown: ids.slice(0, 1), unsent: ids.slice(1) } : { unknown: [], unsent: ids };
  }
}
