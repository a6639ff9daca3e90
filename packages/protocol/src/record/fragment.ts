import { MAX_FRAGMENT_LENGTH, MAX_FRAGMENTS, MAX_MESSAGE_LENGTH } from "../constants.ts";
import { UsageError, type Violation } from "../errors.ts";
import { concatBytes, copyBytes } from "../wire/bytes.ts";
import { FrameType } from "../wire/frame.ts";

/** How many frames a message takes; throws UsageError above 1,808 bytes. An empty message takes one. */
export function fragmentCount(messageLength: number): number {
  if (messageLength > MAX_MESSAGE_LENGTH) {
    throw new UsageError(
      "message-too-long",
      `message of ${messageLength} bytes: at most ${MAX_MESSAGE_LENGTH} fit (spec section 4); split it`,
    );
  }
  return Math.max(1, Math.ceil(messageLength / MAX_FRAGMENT_LENGTH));
}

/** Fragment `index` of a message, a view. */
export function fragmentAt(message: Uint8Array, index: number): Uint8Array {
  return message.subarray(index * MAX_FRAGMENT_LENGTH, (index + 1) * MAX_FRAGMENT_LENGTH);
}

/** The type that fragment `index` of `count` travels under: all but the last are DATA_FRAG. */
export function fragmentType(index: number, count: number): FrameType {
  return index === count - 1 ? FrameType.DATA : FrameType.DATA_FRAG;
}

export type Assembled =
  | { readonly message: Uint8Array }
  | { readonly violation: Violation }
  /** More fragments are needed. */
  | undefined;

/** Puts one message together at a time; it holds at most three fragments of 452 bytes. */
export class Assembler {
  #fragments: Uint8Array[] | undefined;
  #nextSeq = 0;
  #overlong = false;
  /** Fragments before this one are copies. */
  #kept = 0;

  /** True between a DATA_FRAG and the DATA that ends its message. */
  get midMessage(): boolean {
    return this.#fragments !== undefined;
  }

  /**
   * True when a frame with this number does not follow the message at hand directly. On datagrams the caller then discards
   * what it has, and the frame begins a new message: every sender gives a message up when one of its fragments fails.
   */
  breaksAt(seq: number): boolean {
    return this.midMessage && seq !== this.#nextSeq;
  }

  /** Adds the plaintext of the next DATA or DATA_FRAG. */
  add(type: FrameType, seq: number, plaintext: Uint8Array): Assembled {
    this.#nextSeq = seq + 1;
    this.#fragments ??= [];
    if (type === FrameType.DATA) return this.#complete(this.#fragments, plaintext);
    if (this.#fragments.length === MAX_FRAGMENTS - 1) {
      // The rest of this message must not pass for a message of its own.
      this.#overlong = true;
      return { violation: "too-many-fragments" };
    }
    this.#fragments.push(plaintext);
    return undefined;
  }

  /** Inside a message: takes copies of what was collected: it may be views of memory that much else lies in, and the rest may be long in coming. */
  keep(): void {
    const fragments = this.#fragments as Uint8Array[];
    for (; this.#kept < fragments.length; this.#kept++) {
      fragments[this.#kept] = copyBytes(fragments[this.#kept] as Uint8Array);
    }
  }

  /** Drops what was collected. */
  discard(): void {
    this.#fragments = undefined;
    this.#kept = 0;
    this.#overlong = false;
  }

  #complete(before: readonly Uint8Array[], plaintext: Uint8Array): Assembled {
    const overlong = this.#overlong;
    this.discard();
    if (overlong) return { violation: "too-many-fragments" };
    return { message: before.length === 0 ? plaintext : joined(before, plaintext) };
  }
}

/** One piece of memory where the fragments stand behind each other already, as they do when they were opened in one run. */
function joined(before: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  const first = before[0] as Uint8Array;
  let end = first.byteOffset + first.length;
  for (let i = 1; i <= before.length; i++) {
    const part = before[i] ?? last;
    // The place first: asking a small array for its buffer makes V8 give it one.
    if (part.byteOffset !== end || part.buffer !== first.buffer) return concatBytes(...before, last);
    end += part.length;
  }
  return new Uint8Array(first.buffer, first.byteOffset, end - first.byteOffset);
}
