import type { CryptoProvider, KeyPair, TrafficKeyRequest, TrafficKeys } from "../../src/crypto/provider.ts";

export interface WipeLedger {
  readonly provider: CryptoProvider;
  /** Key pairs and traffic keys that were made so far. */
  readonly made: number;
  /** What of them is not wiped yet. */
  readonly alive: readonly string[];
  /** How many epochs' keys are not wiped yet. */
  readonly epochsAlive: number;
}

/** `provider` with a record of every key pair and epoch that it makes, and of which are wiped. */
export function wipeLedger(provider: CryptoProvider): WipeLedger {
  const alive = new Map<number, string>();
  let made = 0;
  let epochsAlive = 0;

  const enter = (what: string): (() => void) => {
    const number = made++;
    alive.set(number, `${what} ${number}`);
    return () => void alive.delete(number);
  };
  const watchPair = (keyPair: KeyPair): KeyPair => {
    const leave = enter("key pair");
    const wipe = keyPair.wipe.bind(keyPair);
    return Object.assign(keyPair, {
      wipe() {
        leave();
        wipe();
      },
    });
  };
  const watchKeys = (keys: TrafficKeys): TrafficKeys => {
    const leave = enter("traffic keys");
    epochsAlive++;
    let wiped = false;
    return {
      transmit: keys.transmit,
      receive: keys.receive,
      next: (initiator, salt, info) => watchKeys(keys.next(initiator, salt, info)),
      wipe() {
        leave();
        if (!wiped) epochsAlive--;
        wiped = true;
        keys.wipe();
      },
    };
  };

  return {
    provider: {
      name: `${provider.name}, with a ledger`,
      randomFill: (out) => provider.randomFill(out),
      generateKeyPair: () => watchPair(provider.generateKeyPair()),
      importKeyPair: (privateKey) => watchPair(provider.importKeyPair(privateKey)),
      hmacSha256: (key, parts) => provider.hmacSha256(key, parts),
      deriveTrafficKeys(request: TrafficKeyRequest) {
        const keys = provider.deriveTrafficKeys(request);
        return keys === undefined ? undefined : watchKeys(keys);
      },
      importTrafficKeys: (...parameters) => watchKeys(provider.importTrafficKeys(...parameters)),
    },
    get made() {
      return made;
    },
    get alive() {
      return [...alive.values()];
    },
    get epochsAlive() {
      return epochsAlive;
    },
  };
}
