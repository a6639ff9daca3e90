import { MAX_FRAGMENT_LENGTH, MAX_FRAGMENTS, MAX_MESSAGE_LENGTH } from "../constants.ts";
import { UsageError, type Violation } from "../errors.ts";
import { concatBytes } from "../wire/bytes.ts";
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

  /** True between a DATA_FRAG and the DATA that ends its message. */
  get midMessage(): boolean {
    return this.#fragments !== undefined;
  }

  /** Adds the plaintext of the next DATA or DATA_FRAG; the caller has checked that it follows the last one directly. */
  add(type: FrameType, plaintext: Uint8Array): Assembled {
    if (type === FrameType.DATA) {
      const before = this.#fragments;
      this.#fragments = undefined;
      return { message: before === undefined ? plaintext : concatBytes(...before, plaintext) };
    }
    this.#fragments ??= [];
    if (this.#fragments.length === MAX_FRAGMENTS - 1) {
      this.discard();
      return { violation: "too-many-fragments" };
    }
    this.#fragments.push(plaintext);
    return undefined;
  }

  /** Drops what was collected. */
  discard(): void {
    this.#fragments = undefined;
  }
}
