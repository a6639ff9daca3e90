import nodeCryptoModule, { KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

/**
 * Shows each private key that a provider generates to `see`, at the function of the platform that the provider takes it from: OpenSSL's
 * key generation, or getRandomValues (which also gives other 32-byte values). The copy made for seeing it is zeroed afterwards.
 */
export function watchKeyGeneration(see: (privateKey: Uint8Array) => void): void {
  const generate = nodeCryptoModule.generateKeyPairSync as (...options: unknown[]) => unknown;
  const watched = (...options: unknown[]): unknown => {
    const pair = generate(...options) as { privateKey: unknown };
    if (!(pair.privateKey instanceof KeyObject)) throw new Error("expected the private key as a KeyObject");
    const der = pair.privateKey.export({ format: "der", type: "pkcs8" });
    see(der.subarray(-32));
    der.fill(0);
    return pair;
  };
  Object.assign(nodeCryptoModule, { generateKeyPairSync: watched });
  syncBuiltinESMExports();

  const webCrypto = globalThis.crypto;
  const getRandomValues = webCrypto.getRandomValues.bind(webCrypto);
  webCrypto.getRandomValues = (array) => {
    getRandomValues(array);
    if (array instanceof Uint8Array && array.length === 32) see(array);
    return array;
  };
}
