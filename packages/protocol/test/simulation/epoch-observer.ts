import type { CryptoProvider, TrafficKeys } from "../../src/crypto/provider.ts";
import { toHex } from "../support/hex.ts";

/** Any message will do: two keys with the same MAC of it are the same key. No UTACK has this length. */
const FINGERPRINT_MESSAGE: Uint8Array = Uint8Array.of(0x65);

/** Under which epoch one end sealed last, named by both of its keys, so that the names of the two ends can be compared. */
export class EpochObserver {
  #lastSealed: string | undefined;

  get lastSealed(): string | undefined {
    return this.#lastSealed;
  }

  watch(provider: CryptoProvider): CryptoProvider {
    return {
      name: provider.name,
      randomFill: (out) => provider.randomFill(out),
      generateKeyPair: () => provider.generateKeyPair(),
      importKeyPair: (privateKey) => provider.importKeyPair(privateKey),
      hmacSha256: (key, parts) => provider.hmacSha256(key, parts),
      deriveTrafficKeys: (request) => {
        const keys = provider.deriveTrafficKeys(request);
        return keys === undefined ? undefined : this.#watched(keys);
      },
      importTrafficKeys: (...parameters) => this.#watched(provider.importTrafficKeys(...parameters)),
    };
  }

  #watched(keys: TrafficKeys): TrafficKeys {
    let name: string | undefined;
    const nameOf = (): string =>
      [keys.transmit, keys.receive]
        .map((key) => toHex(key.acknowledgementMac(FINGERPRINT_MESSAGE)))
        .sort()
        .join("/");
    return {
      transmit: {
        seal: (frame) => {
          name ??= nameOf();
          this.#lastSealed = name;
          keys.transmit.seal(frame);
        },
        open: (frame, out) => keys.transmit.open(frame, out),
        acknowledgementMac: (message) => keys.transmit.acknowledgementMac(message),
      },
      receive: keys.receive,
      next: (initiator, salt, info) => this.#watched(keys.next(initiator, salt, info)),
      wipe: () => keys.wipe(),
    };
  }
}
