import { constants, type RecordKey, writeCrc } from "@usmp/protocol";
import type { SymmetricKey } from "./primitives.ts";

const AAD_END = constants.CRC_OFFSET;
const NONCE_START = constants.HEADER_LENGTH;
const TEXT_START = NONCE_START + constants.GCM_NONCE_LENGTH;

/**
 * Cuts a frame into what AES-GCM takes (spec section 4): AAD, nonce, text with tag. Nothing is copied.
 */
export class FrameKey implements RecordKey {
  readonly #key: SymmetricKey;

  constructor(key: SymmetricKey) {
    this.#key = key;
  }

  seal(frame: Uint8Array): void {
    this.#key.seal(frame.subarray(NONCE_START, TEXT_START), frame.subarray(0, AAD_END), frame.subarray(TEXT_START));
    writeCrc(frame);
  }

  open(frame: Uint8Array, out: Uint8Array): boolean {
    return this.#key.open(
      frame.subarray(NONCE_START, TEXT_START),
      frame.subarray(0, AAD_END),
      frame.subarray(TEXT_START),
      out,
    );
  }

  acknowledgementMac(message: Uint8Array): Uint8Array {
    return this.#key.hmacSha256(message).subarray(0, constants.UTACK_MAC_LENGTH);
  }

  wipe(): void {
    this.#key.wipe();
  }
}
