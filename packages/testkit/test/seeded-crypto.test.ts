import { nodeCrypto } from "@usmp/crypto";
import { type CryptoProvider, Secret } from "@usmp/protocol";
import { SeededRandom, seededCrypto } from "@usmp/testkit";
import { expect, test } from "vitest";
import { establish, sealed } from "./session.ts";

const seeded = (seed: number): CryptoProvider => seededCrypto(nodeCrypto, new SeededRandom(seed));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("a seeded provider makes the same session, to the last sealed byte, for the same seed, and another for another", () => {
  const run = (seed: number): string => hex(sealed(establish(seeded(seed)).client, 0));
  expect(run(1)).toBe(run(1));
  expect(run(1)).not.toBe(run(2));
});

test("a seeded provider's ends understand each other", () => {
  const { client, server } = establish(seeded(3));
  const out = new Uint8Array(5);
  expect(server.receive.open(sealed(client, 0), out)).toBe(true);
  expect(Buffer.from(out).toString()).toBe("hello");
});

test("a seeded provider gives a new key pair and new bytes each time", () => {
  const crypto = seeded(4);
  const draws = [
    crypto.generateKeyPair().publicKey,
    crypto.generateKeyPair().publicKey,
    new Uint8Array(32),
    new Uint8Array(32),
  ];
  for (const bytes of draws.slice(2)) crypto.randomFill(bytes);
  expect(new Set(draws.map(hex)).size).toBe(4);
});

test("a seeded provider leaves everything that is not random to the provider", () => {
  const testKey = new Secret(new Uint8Array(32).fill(7));
  const crypto = seeded(5);
  expect(crypto.importKeyPair(testKey).publicKey).toEqual(nodeCrypto.importKeyPair(testKey).publicKey);
  expect(crypto.hmacSha256(testKey, [Uint8Array.of(1)])).toEqual(nodeCrypto.hmacSha256(testKey, [Uint8Array.of(1)]));
  const imported = crypto.importTrafficKeys("client", testKey, testKey, new Uint8Array(16));
  expect(imported.transmit.acknowledgementMac(Uint8Array.of(1))).toHaveLength(8);
  expect(crypto.name).toBe("node, seeded");
});
