import nodeCryptoModule, { KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { type CryptoProvider, Secret } from "@usmp/protocol";

/**
 * Shows each private key that `crypto` generates to `see`, at the function of the platform that the provider takes it from: OpenSSL's
 * key generation, or getRandomValues (which also gives other 32-byte values). The copy made for seeing it is zeroed afterwards.
 * The native provider shows its keys to nobody: what is answered then, to be used in its place, imports keys that are drawn here.
 */
export function watchKeyGeneration(crypto: CryptoProvider, see: (privateKey: Uint8Array) => void): CryptoProvider {
  if (crypto.name === "native") return withSeenKeys(crypto, see);
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
  return crypto;
}

function withSeenKeys(crypto: CryptoProvider, see: (privateKey: Uint8Array) => void): CryptoProvider {
  return {
    name: crypto.name,
    randomFill: (out) => crypto.randomFill(out),
    generateKeyPair() {
      const bytes = new Uint8Array(new ArrayBuffer(32));
      crypto.randomFill(bytes);
      see(bytes);
      const privateKey = Secret.adopt(bytes);
      try {
        return crypto.importKeyPair(privateKey);
      } finally {
        privateKey.wipe();
      }
    },
    importKeyPair: (privateKey) => crypto.importKeyPair(privateKey),
    hmacSha256: (key, parts) => crypto.hmacSha256(key, parts),
    deriveTrafficKeys: (request) => crypto.deriveTrafficKeys(request),
    importTrafficKeys: (...given) => crypto.importTrafficKeys(...given),
  };
}
