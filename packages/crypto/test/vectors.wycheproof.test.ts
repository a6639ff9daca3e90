import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "./hex.ts";
import { primitiveProviders } from "./providers.ts";

interface Vector {
  readonly tcId: number;
  readonly flags: readonly string[];
  readonly result: "valid" | "acceptable" | "invalid";
}
type Vectors<Test, Group = object> = { testGroups: (Group & { tests: (Vector & Test)[] })[] };

const x25519 = read<Vectors<{ public: string; private: string; shared: string }>>("x25519_test.json");
const hkdf =
  read<Vectors<{ ikm: string; salt: string; info: string; size: number; okm: string }>>("hkdf_sha256_test.json");
const hmac = read<Vectors<{ key: string; msg: string; tag: string }>>("hmac_sha256_test.json");
const aesGcm =
  read<
    Vectors<
      { key: string; iv: string; aad: string; msg: string; ct: string; tag: string },
      { keySize: number; ivSize: number; tagSize: number }
    >
  >("aes_gcm_test.json");

describe.each(primitiveProviders)("Wycheproof vectors on the $name provider", ({ primitives }) => {
  it("agrees with all 518 X25519 exchanges, and answers undefined exactly where the shared secret is zero", () => {
    const tests = x25519.testGroups.flatMap((group) => group.tests);
    expect(tests).toHaveLength(518);
    for (const test of tests) {
      const keyPair = primitives.importX25519(fromHex(test.private));
      const shared = keyPair.exchange(fromHex(test.public));
      const expected = test.flags.includes("ZeroSharedSecret") ? undefined : test.shared;
      expect(shared === undefined ? undefined : toHex(shared.expose()), `tcId ${test.tcId}`).toBe(expected);
    }
  });

  it("agrees with all 66 AES-GCM cases of 256-bit keys, 96-bit nonces and 128-bit tags, forged ones refused", () => {
    const tests = aesGcm.testGroups
      .filter(({ keySize, ivSize, tagSize }) => keySize === 256 && ivSize === 96 && tagSize === 128)
      .flatMap((group) => group.tests);
    expect(tests).toHaveLength(66);
    for (const test of tests) {
      const label = `tcId ${test.tcId}`;
      const key = primitives.symmetricKey(fromHex(test.key));
      const [nonce, aad, sealed] = [fromHex(test.iv), fromHex(test.aad), fromHex(test.ct + test.tag)];
      const out = new Uint8Array(test.msg.length / 2);
      expect(key.open(nonce, aad, sealed, out), label).toBe(test.result === "valid");
      if (test.result === "invalid") {
        expect(
          out.every((byte) => byte === 0),
          label,
        ).toBe(true);
        continue;
      }
      expect(toHex(out), label).toBe(test.msg);
      const text = fromHex(test.msg + "00".repeat(16));
      key.seal(nonce, aad, text);
      expect(toHex(text), label).toBe(test.ct + test.tag);
    }
  });

  it("agrees with all 86 HKDF-SHA256 cases, outputs that are too long refused", () => {
    const tests = hkdf.testGroups.flatMap((group) => group.tests);
    expect(tests).toHaveLength(86);
    for (const test of tests) {
      const derive = () => primitives.hkdfSha256(fromHex(test.ikm), fromHex(test.salt), fromHex(test.info), test.size);
      if (test.result === "invalid") expect(derive, `tcId ${test.tcId}`).toThrow();
      else expect(toHex(derive().expose()), `tcId ${test.tcId}`).toBe(test.okm);
    }
  });

  it("agrees with all 174 HMAC-SHA256 cases, whole and truncated, in one part and in several", () => {
    const tests = hmac.testGroups.flatMap((group) => group.tests);
    expect(tests).toHaveLength(174);
    for (const test of tests) {
      const [key, message] = [fromHex(test.key), fromHex(test.msg)];
      const middle = message.length >> 1;
      for (const parts of [[message], [message.subarray(0, middle), message.subarray(middle)]]) {
        const mac = toHex(primitives.hmacSha256(key, parts)).slice(0, test.tag.length);
        expect(mac === test.tag, `tcId ${test.tcId}`).toBe(test.result === "valid");
      }
    }
  });
});

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`./vectors/wycheproof/${file}`, import.meta.url), "utf8")) as T;
}
