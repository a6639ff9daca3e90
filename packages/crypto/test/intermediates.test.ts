import { type CryptoProvider, Secret, type Side, type TrafficKeys } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { type Primitives, X25519KeyPair } from "../src/primitives.ts";
import { createProvider } from "../src/provider.ts";
import { primitiveProviders } from "./providers.ts";
import { required } from "./sessions.ts";

const SALT = new Uint8Array(32).fill(7);
const INFO = Uint8Array.of(9, 9);

describe.each(primitiveProviders)("secrets that the $name provider holds only in passing", ({ primitives }) => {
  it("include the shared secret, wiped as soon as the keys are derived", () => {
    const seen = watch(primitives);
    derive(seen.crypto, "client");
    expect(seen.shared.map((secret) => secret.wiped)).toEqual([true]);
  });

  it("include the shared secret also when the derivation fails", () => {
    const seen = watch(primitives, () => {
      throw new Error("HKDF failed");
    });
    expect(() => derive(seen.crypto, "client")).toThrow("HKDF failed");
    expect(seen.shared.map((secret) => secret.wiped)).toEqual([true]);
  });

  it.each(["us", "peer"] as const)(
    "include the joined keys that %s rekeyed from, which are not the present keys' own bytes",
    (by) => {
      for (const side of ["client", "server"] as const) {
        const seen = watch(primitives);
        const keys = derive(seen.crypto, side);
        const [present] = seen.derived as [Secret];
        keys.next(by, SALT, INFO);
        const [, joined] = seen.ikm as [Uint8Array, Uint8Array];
        expect(joined).toEqual(new Uint8Array(64));
        expect(present.expose()).not.toEqual(new Uint8Array(64));
      }
    },
  );

  it("include the derived bytes, wiped with the keys and not before", () => {
    const seen = watch(primitives);
    const keys = derive(seen.crypto, "server");
    const next = keys.next("us", SALT, INFO);
    expect(seen.derived.map((secret) => secret.wiped)).toEqual([false, false]);
    keys.wipe();
    expect(seen.derived.map((secret) => secret.wiped)).toEqual([true, false]);
    next.wipe();
    expect(seen.derived.map((secret) => secret.wiped)).toEqual([true, true]);
  });
});

interface Watched {
  readonly crypto: CryptoProvider;
  readonly shared: Secret[];
  readonly ikm: Uint8Array[];
  readonly derived: Secret[];
}

/** A provider over the real primitives that remembers which secrets passed between them. */
function watch(primitives: Primitives, beforeHkdf: () => void = () => {}): Watched {
  const seen = { shared: [] as Secret[], ikm: [] as Uint8Array[], derived: [] as Secret[] };

  class WatchedKeyPair extends X25519KeyPair {
    readonly #pair = primitives.generateX25519();
    readonly publicKey = this.#pair.publicKey;

    exchange(peerPublicKey: Uint8Array): Secret | undefined {
      const shared = this.#pair.exchange(peerPublicKey);
      if (shared !== undefined) seen.shared.push(shared);
      return shared;
    }

    wipe(): void {
      this.#pair.wipe();
    }
  }

  const crypto = createProvider({
    name: primitives.name,
    randomFill: (out) => primitives.randomFill(out),
    generateX25519: () => new WatchedKeyPair(),
    importX25519: (privateKey) => primitives.importX25519(privateKey),
    hkdfSha256: (ikm, salt, info, length) => {
      beforeHkdf();
      const derived = primitives.hkdfSha256(ikm, salt, info, length);
      seen.ikm.push(ikm);
      seen.derived.push(derived);
      return derived;
    },
    hmacSha256: (key, parts) => primitives.hmacSha256(key, parts),
    symmetricKey: (key) => primitives.symmetricKey(key),
  });
  return { crypto, ...seen };
}

function derive(crypto: CryptoProvider, side: Side): TrafficKeys {
  const peerPublicKey = crypto.importKeyPair(new Secret(new Uint8Array(32).fill(1))).publicKey;
  const keyPair = crypto.generateKeyPair();
  const request = { side, keyPair, peerPublicKey, salt: SALT, info: INFO, sessionId: new Uint8Array(16) };
  return required(crypto.deriveTrafficKeys(request));
}
