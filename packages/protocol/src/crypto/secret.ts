import { UsageError } from "../errors.ts";

/**
 * Bytes that must not leak: prints as redacted everywhere (string, JSON, Node's inspect) and wipes itself.
 *
 * The bytes live in an ArrayBuffer of their own, outside the garbage collector's moving heap, so that wiping reaches
 * the only copy this library made. That is best effort: the engine or the caller may hold others (docs/architecture.md).
 */
export class Secret {
  #bytes: Uint8Array | undefined;

  /** Takes a copy of `bytes`; the caller wipes its own. */
  constructor(bytes: Uint8Array) {
    this.#bytes = new Uint8Array(new ArrayBuffer(bytes.length));
    this.#bytes.set(bytes);
  }

  /** Takes `bytes` over without a copy: the caller must hold no other reference. Wiping wipes them. */
  static adopt(bytes: Uint8Array): Secret {
    const secret = new Secret(EMPTY);
    secret.#bytes = bytes;
    return secret;
  }

  get length(): number {
    return this.expose().length;
  }

  get wiped(): boolean {
    return this.#bytes === undefined;
  }

  /** A view of the bytes, not to be kept. Throws UsageError after wipe(): a wiped secret never acts as a zero key. */
  expose(): Uint8Array {
    if (this.#bytes === undefined)
      throw new UsageError("secret-wiped", "this secret was wiped and cannot be used again");
    return this.#bytes;
  }

  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return "Secret(redacted)";
  }

  toJSON(): string {
    return this.toString();
  }
}

// What Node's util.inspect and console.log show. (A computed method name would need an inferred declaration.)
Object.defineProperty(Secret.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: Secret): string {
    return this.toString();
  },
});

const EMPTY = new Uint8Array(0);
