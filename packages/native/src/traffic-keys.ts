import { constants, copyBytes, type RecordKey, type TrafficKeys, UsageError } from "@usmp/protocol";
import type { Addon } from "./addon.ts";
import type { Backstop } from "./backstop.ts";
import { join, scratchFor } from "./scratch.ts";

/** Both directions of one epoch, which the addon holds under one handle. */
export class NativeTrafficKeys implements TrafficKeys {
  readonly transmit: RecordKey;
  readonly receive: RecordKey;
  readonly #addon: Addon;
  readonly #backstop: Backstop;
  #handle: number;

  constructor(addon: Addon, backstop: Backstop, handle: number) {
    this.#addon = addon;
    this.#backstop = backstop;
    this.#handle = handle;
    this.transmit = new NativeRecordKey(addon, this, true);
    this.receive = new NativeRecordKey(addon, this, false);
    backstop.watch(this, handle);
  }

  /** Throws UsageError after wipe(). */
  get handle(): number {
    if (this.#handle !== 0) return this.#handle;
    throw new UsageError("secret-wiped", "these traffic keys were wiped and cannot be used again: the session is over");
  }

  next(initiator: "us" | "peer", salt: Uint8Array, info: Uint8Array): TrafficKeys {
    const scratch = scratchFor(salt.length + info.length);
    join(scratch, [salt, info]);
    const handle = this.#addon.nextTrafficKeys(this.handle, initiator === "us", scratch, salt.length, info.length);
    return new NativeTrafficKeys(this.#addon, this.#backstop, handle);
  }

  wipe(): void {
    if (this.#handle === 0) return;
    this.#addon.wipeTrafficKeys(this.#handle);
    this.#handle = 0;
    this.#backstop.release(this);
  }
}

/** Keeps its epoch's keys alive: they are wiped when nobody can reach either any more. */
class NativeRecordKey implements RecordKey {
  readonly #addon: Addon;
  readonly #keys: NativeTrafficKeys;
  readonly #transmit: boolean;

  constructor(addon: Addon, keys: NativeTrafficKeys, transmit: boolean) {
    this.#addon = addon;
    this.#keys = keys;
    this.#transmit = transmit;
  }

  seal(frame: Uint8Array): void {
    this.#addon.seal(this.#keys.handle, this.#transmit, frame);
  }

  sealRun(bytes: Uint8Array, start: number, end: number): void {
    this.#addon.sealRun(this.#keys.handle, this.#transmit, bytes, start, end);
  }

  open(frame: Uint8Array, out: Uint8Array): boolean {
    return this.#addon.open(this.#keys.handle, this.#transmit, frame, out);
  }

  openRun(bytes: Uint8Array, start: number, end: number, seq: number, out: Uint8Array): number {
    return this.#addon.openRun(this.#keys.handle, this.#transmit, bytes, start, end, seq, out);
  }

  acknowledgementMac(message: Uint8Array): Uint8Array {
    const scratch = scratchFor(Math.max(message.length, constants.UTACK_MAC_LENGTH));
    scratch.set(message);
    this.#addon.acknowledgementMac(this.#keys.handle, this.#transmit, scratch, message.length);
    return copyBytes(scratch, 0, constants.UTACK_MAC_LENGTH);
  }
}
