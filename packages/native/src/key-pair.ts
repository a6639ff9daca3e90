import { constants, copyBytes, type KeyPair, UsageError } from "@usmp/protocol";
import type { Addon } from "./addon.ts";
import type { Backstop } from "./backstop.ts";

/** An X25519 key pair whose private half the addon holds. */
export class NativeKeyPair implements KeyPair {
  readonly publicKey: Uint8Array;
  readonly #addon: Addon;
  readonly #backstop: Backstop;
  #handle: number;

  /** `scratch` begins with the public key. */
  constructor(addon: Addon, backstop: Backstop, handle: number, scratch: Uint8Array) {
    this.publicKey = copyBytes(scratch, 0, constants.PUBLIC_KEY_LENGTH);
    this.#addon = addon;
    this.#backstop = backstop;
    this.#handle = handle;
    backstop.watch(this, handle);
  }

  /** Throws UsageError after wipe(). */
  get handle(): number {
    if (this.#handle !== 0) return this.#handle;
    throw new UsageError(
      "secret-wiped",
      "this key pair was wiped and cannot be used again: generate a new one per connection",
    );
  }

  wipe(): void {
    if (this.#handle === 0) return;
    this.#addon.wipeKeyPair(this.#handle);
    this.#handle = 0;
    this.#backstop.release(this);
  }
}
