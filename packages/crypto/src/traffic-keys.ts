import { Secret, type TrafficKeys } from "@usmp/protocol";
import type { Primitives } from "./primitives.ts";
import { FrameKey } from "./record-key.ts";

export const TRAFFIC_KEY_LENGTH = 32;
export const TRAFFIC_KEYS_LENGTH: number = 2 * TRAFFIC_KEY_LENGTH;

/**
 * Both directions of one epoch. The 64 bytes that HKDF gave stay, because the next epoch is derived from them (spec section 5);
 * a direction's record key is made from them when its first frame goes through, so that an idle session holds none.
 */
export class DerivedTrafficKeys implements TrafficKeys {
  readonly #primitives: Primitives;
  readonly #derived: Secret;
  readonly #transmitIsFirst: boolean;
  #transmit: FrameKey | undefined;
  #receive: FrameKey | undefined;

  /** Takes `derived` over: 64 bytes, whose first half is this side's transmit key if `transmitIsFirst`, else its receive key. */
  constructor(primitives: Primitives, derived: Secret, transmitIsFirst: boolean) {
    this.#primitives = primitives;
    this.#derived = derived;
    this.#transmitIsFirst = transmitIsFirst;
  }

  /** Throws UsageError after wipe(), like `receive`. */
  get transmit(): FrameKey {
    this.#transmit ??= this.#recordKey(this.#transmitIsFirst);
    return this.#transmit;
  }

  get receive(): FrameKey {
    this.#receive ??= this.#recordKey(!this.#transmitIsFirst);
    return this.#receive;
  }

  next(initiator: "us" | "peer", salt: Uint8Array, info: Uint8Array): TrafficKeys {
    const initiatorIsUs = initiator === "us";
    const [first, second] = halves(this.#derived);
    // The initiator's transmit key goes first; when the peer initiates, that is our receive key.
    const ikm = initiatorIsUs === this.#transmitIsFirst ? joinKeys(first, second) : joinKeys(second, first);
    try {
      const derived = this.#primitives.hkdfSha256(ikm.expose(), salt, info, TRAFFIC_KEYS_LENGTH);
      return new DerivedTrafficKeys(this.#primitives, derived, initiatorIsUs);
    } finally {
      ikm.wipe();
    }
  }

  wipe(): void {
    this.#transmit?.wipe();
    this.#receive?.wipe();
    this.#derived.wipe();
  }

  #recordKey(isFirst: boolean): FrameKey {
    const [first, second] = halves(this.#derived);
    return new FrameKey(this.#primitives.symmetricKey(isFirst ? first : second));
  }
}

/** Two keys behind each other, in an ArrayBuffer of their own: off V8's moving heap, so that wiping reaches the only copy. */
export function joinKeys(first: Uint8Array, second: Uint8Array): Secret {
  const joined = new Uint8Array(new ArrayBuffer(TRAFFIC_KEYS_LENGTH));
  joined.set(first);
  joined.set(second, TRAFFIC_KEY_LENGTH);
  return Secret.adopt(joined);
}

function halves(derived: Secret): [Uint8Array, Uint8Array] {
  const bytes = derived.expose();
  return [bytes.subarray(0, TRAFFIC_KEY_LENGTH), bytes.subarray(TRAFFIC_KEY_LENGTH)];
}
