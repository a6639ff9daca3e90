import { nodeCrypto } from "@usmp/crypto";
import { Secret } from "@usmp/protocol";
import { scriptedCrypto } from "@usmp/testkit";
import { expect, test } from "vitest";

const TEST_PRIVATE_KEYS = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];

test("a scripted provider makes the key pairs of the script, in order", () => {
  const script = scriptedCrypto(nodeCrypto, { privateKeys: TEST_PRIVATE_KEYS });
  for (const key of TEST_PRIVATE_KEYS) {
    expect(script.provider.generateKeyPair().publicKey).toEqual(nodeCrypto.importKeyPair(new Secret(key)).publicKey);
  }
  script.assertUsedUp();
  expect(TEST_PRIVATE_KEYS[0], "the script's own copy is not wiped").toEqual(new Uint8Array(32).fill(1));
});

test("a scripted provider answers each request with the first value left of its length", () => {
  const [nonce, salt, sessionId] = [new Uint8Array(32).fill(3), new Uint8Array(32).fill(4), new Uint8Array(16).fill(5)];
  const script = scriptedCrypto(nodeCrypto, { random: [nonce, salt, sessionId] });
  expect(drawn(script.provider, 16)).toEqual(sessionId);
  expect(drawn(script.provider, 32)).toEqual(nonce);
  expect(() => script.assertUsedUp()).toThrow("never asked for: each random value of 32 bytes");
  expect(drawn(script.provider, 32)).toEqual(salt);
  script.assertUsedUp();
});

test("a scripted provider throws, and says what is left, when the script has no answer", () => {
  const script = scriptedCrypto(nodeCrypto, { random: [new Uint8Array(16)] });
  expect(() => drawn(script.provider, 32)).toThrow("the script has no random value of 32 bytes left (it has: 16)");
  expect(() => script.provider.generateKeyPair()).toThrow(
    "the script has no private key of 32 bytes left (it has: none)",
  );
});

function drawn(provider: { randomFill(out: Uint8Array): void }, length: number): Uint8Array {
  const out = new Uint8Array(length);
  provider.randomFill(out);
  return out;
}
