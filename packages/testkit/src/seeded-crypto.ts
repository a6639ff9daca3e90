import { type CryptoProvider, Secret } from "@usmp/protocol";
import type { SeededRandom } from "./seeded-random.ts";

/** Bytes that a test decides, in place of the system's CSPRNG. */
export interface RandomSource {
  fill(out: Uint8Array): void;
}

const PRIVATE_KEY_LENGTH = 32;

/**
 * `provider` with randomness that the seed repeats: nonces, session ids, salts and X25519 private keys. Everything else is the
 * provider's own. Its sessions are as open as the seed is known: for simulation only.
 */
export function seededCrypto(provider: CryptoProvider, random: SeededRandom): CryptoProvider {
  return withRandomness(provider, `${provider.name}, seeded`, random, random);
}

/** `provider` with its random bytes from `random` and its private keys from `privateKeys`. */
export function withRandomness(
  provider: CryptoProvider,
  name: string,
  random: RandomSource,
  privateKeys: RandomSource,
): CryptoProvider {
  return {
    name,
    randomFill: (out) => random.fill(out),
    generateKeyPair() {
      const bytes = new Uint8Array(PRIVATE_KEY_LENGTH);
      privateKeys.fill(bytes);
      const privateKey = Secret.adopt(bytes);
      try {
        return provider.importKeyPair(privateKey);
      } finally {
        privateKey.wipe();
      }
    },
    importKeyPair: (privateKey) => provider.importKeyPair(privateKey),
    hmacSha256: (key, parts) => provider.hmacSha256(key, parts),
    deriveTrafficKeys: (request) => provider.deriveTrafficKeys(request),
    importTrafficKeys: (...parameters) => provider.importTrafficKeys(...parameters),
  };
}
