import type { CryptoProvider, RecordKey, TrafficKeys } from "@usmp/protocol";
import { wrapRecordKeys } from "./traffic-key-observer.ts";

/** Calls so far. `deriveTrafficKeys` is the X25519 exchange; `nextKeys` the HKDF of a rekey. */
export interface CryptoCalls {
  randomFill: number;
  generateKeyPair: number;
  importKeyPair: number;
  hmacSha256: number;
  deriveTrafficKeys: number;
  importTrafficKeys: number;
  nextKeys: number;
  seal: number;
  open: number;
  acknowledgementMac: number;
}

export interface CountingCrypto {
  readonly provider: CryptoProvider;
  /** Live: it goes on counting. */
  readonly calls: Readonly<CryptoCalls>;
  /** The sum of all of them: zero proves that no cryptography was done at all (P6). */
  total(): number;
  reset(): void;
}

/** `provider` with its calls counted, those of every key that it hands out included. Wiping is not counted: it costs an attacker nothing. */
export function countingCrypto(provider: CryptoProvider): CountingCrypto {
  const calls = noCalls();
  return {
    provider: counted(
      wrapRecordKeys(provider, (key) => countedKey(key, calls)),
      calls,
    ),
    calls,
    total: () => Object.values(calls).reduce((sum, count) => sum + count, 0),
    reset: () => void Object.assign(calls, noCalls()),
  };
}

function noCalls(): CryptoCalls {
  return {
    randomFill: 0,
    generateKeyPair: 0,
    importKeyPair: 0,
    hmacSha256: 0,
    deriveTrafficKeys: 0,
    importTrafficKeys: 0,
    nextKeys: 0,
    seal: 0,
    open: 0,
    acknowledgementMac: 0,
  };
}

function counted(provider: CryptoProvider, calls: CryptoCalls): CryptoProvider {
  return {
    name: `${provider.name}, counted`,
    randomFill(out) {
      calls.randomFill++;
      provider.randomFill(out);
    },
    generateKeyPair() {
      calls.generateKeyPair++;
      return provider.generateKeyPair();
    },
    importKeyPair(privateKey) {
      calls.importKeyPair++;
      return provider.importKeyPair(privateKey);
    },
    hmacSha256(key, parts) {
      calls.hmacSha256++;
      return provider.hmacSha256(key, parts);
    },
    deriveTrafficKeys(request) {
      calls.deriveTrafficKeys++;
      const keys = provider.deriveTrafficKeys(request);
      return keys === undefined ? undefined : countedEpochs(keys, calls);
    },
    importTrafficKeys(...parameters) {
      calls.importTrafficKeys++;
      return countedEpochs(provider.importTrafficKeys(...parameters), calls);
    },
  };
}

function countedEpochs(keys: TrafficKeys, calls: CryptoCalls): TrafficKeys {
  return {
    transmit: keys.transmit,
    receive: keys.receive,
    next(initiator, salt, info) {
      calls.nextKeys++;
      return countedEpochs(keys.next(initiator, salt, info), calls);
    },
    wipe: () => keys.wipe(),
  };
}

function countedKey(key: RecordKey, calls: CryptoCalls): RecordKey {
  return {
    seal(frame) {
      calls.seal++;
      key.seal(frame);
    },
    open(frame, out) {
      calls.open++;
      return key.open(frame, out);
    },
    acknowledgementMac(message) {
      calls.acknowledgementMac++;
      return key.acknowledgementMac(message);
    },
  };
}
