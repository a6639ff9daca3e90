import type { CryptoProvider, RecordKey, TrafficKeys } from "@usmp/protocol";

/** Gets each record key that a provider hands out, and answers the one to use in its place. */
export type RecordKeyWrapper = (key: RecordKey) => RecordKey;

/** `provider` with every record key wrapped: those of sessions, imported ones, and those of every later epoch. */
export function wrapRecordKeys(provider: CryptoProvider, wrap: RecordKeyWrapper): CryptoProvider {
  return {
    name: provider.name,
    randomFill: (out) => provider.randomFill(out),
    generateKeyPair: () => provider.generateKeyPair(),
    importKeyPair: (privateKey) => provider.importKeyPair(privateKey),
    hmacSha256: (key, parts) => provider.hmacSha256(key, parts),
    deriveTrafficKeys(request) {
      const keys = provider.deriveTrafficKeys(request);
      return keys === undefined ? undefined : wrapTrafficKeys(keys, wrap);
    },
    importTrafficKeys: (...parameters) => wrapTrafficKeys(provider.importTrafficKeys(...parameters), wrap),
  };
}

function wrapTrafficKeys(keys: TrafficKeys, wrap: RecordKeyWrapper): TrafficKeys {
  return {
    transmit: wrap(keys.transmit),
    receive: wrap(keys.receive),
    next: (initiator, salt, info) => wrapTrafficKeys(keys.next(initiator, salt, info), wrap),
    wipe: () => keys.wipe(),
  };
}
