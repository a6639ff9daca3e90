/**
 * Memory that arguments and answers pass through. It lies outside of V8's heap from the start: an addon that looks at a small array
 * of the heap has V8 move it out first, which costs three times what the call does.
 */
const shared = new Uint8Array(new ArrayBuffer(4_096));

/** The scratch for `length` bytes: the shared one, or one of its own. Valid until the next call of anything in this package. */
export function scratchFor(length: number): Uint8Array {
  return length <= shared.length ? shared : new Uint8Array(new ArrayBuffer(length));
}

/** Writes the parts one behind the other; they must fit. */
export function join(scratch: Uint8Array, parts: readonly Uint8Array[]): void {
  let offset = 0;
  for (const part of parts) {
    scratch.set(part, offset);
    offset += part.length;
  }
}

export function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
