import { type CryptoProvider, Secret } from "@usmp/protocol";

/** What of a session id travels in clear and is looked at: as much as a datagram server routes by. */
const ROUTED_BYTES = 6;

/**
 * Which worker a session id belongs to: a keyed hash of its first bytes, so that any worker can tell from a frame's clear nonce whose it is,
 * and nobody else can. Workers draw random ids until one is theirs; over all of them ids stay uniformly random.
 */
export class SessionOwners {
  readonly #crypto: CryptoProvider;
  readonly #key: Secret;
  readonly #count: number;

  constructor(crypto: CryptoProvider, key: Uint8Array, count: number) {
    this.#crypto = crypto;
    this.#key = new Secret(key);
    this.#count = count;
  }

  /** `bytes` begin with the session id. */
  ownerOf(bytes: Uint8Array): number {
    const mac = this.#crypto.hmacSha256(this.#key, [bytes.subarray(0, ROUTED_BYTES)]);
    // 32 bits: with a few workers no one's share differs by more than a billionth.
    return (
      ((((mac[0] as number) << 24) | ((mac[1] as number) << 16) | ((mac[2] as number) << 8) | (mac[3] as number)) >>>
        0) %
      this.#count
    );
  }
}
