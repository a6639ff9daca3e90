import { fragmentAt, fragmentCount, fragmentType } from "../record/fragment.ts";
import { copyBytes } from "../wire/bytes.ts";
import type { FrameType } from "../wire/frame.ts";

/** One frame's worth of a message: what to seal next, and whose it is. */
export interface Fragment {
  readonly type: FrameType;
  readonly plaintext: Uint8Array;
  readonly message: Departed;
}

/** A message some or all of whose frames have left. */
export interface Departed {
  readonly id: number;
  readonly fragments: number;
  /** Frames that are not acknowledged, those not taken yet among them. */
  unacknowledged: number;
  /** The number of its last frame that was sealed. */
  lastSeq: number;
}

interface Message {
  readonly id: number;
  readonly data: Uint8Array;
}

/** Messages that wait for their turn on a datagram session, and those whose frames are on their way. */
export class OutgoingMessages {
  readonly #waiting: Message[] = [];
  /** In the order in which they left. */
  readonly #departed: Departed[] = [];
  /** Fragments of the first waiting message that were taken. */
  #taken = 0;
  #nextId = 0;

  /** Queues a copy of `message` and answers its id; throws UsageError above 1,808 bytes. */
  push(message: Uint8Array): number {
    fragmentCount(message.length);
    this.#waiting.push({ id: this.#nextId, data: copyBytes(message) });
    return this.#nextId++;
  }

  /** Messages of which at least one frame was not taken. */
  get waiting(): number {
    return this.#waiting.length;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** True from the first frame of a message that was taken until its last. */
  get midRun(): boolean {
    return this.#taken > 0;
  }

  /** True while a message of more than one frame is on its way: between its frames nothing may come (spec section 4). */
  get midFragments(): boolean {
    return this.#departed.some(({ fragments }) => fragments > 1);
  }

  /** True when the first message that waits takes more than one frame. */
  get nextIsFragmented(): boolean {
    const message = this.#waiting[0];
    return message !== undefined && fragmentCount(message.data.length) > 1;
  }

  /** The next fragment to seal. There must be a message. */
  take(): Fragment {
    const { id, data } = this.#waiting[0] as Message;
    const fragments = fragmentCount(data.length);
    const index = this.#taken++;
    if (index === 0) this.#departed.push({ id, fragments, unacknowledged: fragments, lastSeq: 0 });
    if (this.#taken === fragments) {
      this.#waiting.shift();
      this.#taken = 0;
    }
    return {
      type: fragmentType(index, fragments),
      plaintext: fragmentAt(data, index),
      message: this.#departed.at(-1) as Departed,
    };
  }

  /**
   * Takes out the messages that are through, and answers their ids: every frame of theirs and of those before is acknowledged, and so is
   * every number below `barrier`. A receiver that keeps an order holds what came early, and gives it to nobody when the session ends before
   * the gap has closed.
   */
  takeThrough(barrier: number): readonly number[] {
    const through: number[] = [];
    for (let first = this.#departed[0]; first?.unacknowledged === 0 && first.lastSeq < barrier; ) {
      through.push(first.id);
      this.#departed.shift();
      first = this.#departed[0];
    }
    return through;
  }

  /** Ids of messages that are not through: those on their way, and those that wait. */
  pending(): { readonly unknown: number[]; readonly unsent: number[] } {
    const unsent = this.#waiting.slice(this.midRun ? 1 : 0).map(({ id }) => id);
    return { unknown: this.#departed.map(({ id }) => id), unsent };
  }
}
