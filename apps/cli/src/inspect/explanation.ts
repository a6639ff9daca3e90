/** What `usmp inspect` says of one frame, UTACK, or run of bytes that is neither. */
export interface Explanation {
  /** Counts from 1. */
  readonly index: number;
  /** Undefined when neither the recording nor the frame tells. */
  readonly from: Direction | undefined;
  /** A frame type's name, "UTACK", or undefined for bytes that are no frame. */
  readonly type: string | undefined;
  readonly bytes: Uint8Array;
  readonly fields: readonly Field[];
  readonly checks: readonly Check[];
  /** What a session frame carries, when a key opened it. */
  readonly plaintext?: Uint8Array | undefined;
  /** The whole message, at its last frame. */
  readonly message?: Uint8Array | undefined;
}

export type Direction = "client" | "server";

export interface Field {
  readonly offset: number;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly meaning: string;
}

export interface Check {
  readonly name: string;
  /** "skipped": it could not be done, or a receiver would not have come so far. */
  readonly result: "passed" | "failed" | "skipped";
  readonly detail: string;
}

export function passed(name: string, detail: string): Check {
  return { name, result: "passed", detail };
}

export function failed(name: string, detail: string): Check {
  return { name, result: "failed", detail };
}

export function skipped(name: string, detail: string): Check {
  return { name, result: "skipped", detail };
}

export function checked(name: string, good: boolean, detail: string, problem: string): Check {
  return good ? passed(name, detail) : failed(name, problem);
}

/** Cuts consecutive fields; one whose bytes are missing is left out, one that is cut short shows what is there. */
export class FieldCutter {
  readonly fields: Field[] = [];
  readonly #bytes: Uint8Array;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  cut(name: string, length: number, meaning: (bytes: Uint8Array) => string): this {
    const bytes = this.#bytes.subarray(this.#offset, this.#offset + length);
    if (bytes.length > 0) {
      const text = bytes.length < length ? `cut short: ${bytes.length} of ${length} bytes` : meaning(bytes);
      this.fields.push({ offset: this.#offset, name, bytes, meaning: text });
    }
    this.#offset += bytes.length;
    return this;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }
}
