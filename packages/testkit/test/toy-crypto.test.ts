import { nodeCrypto } from "@usmp/crypto";
import { type CryptoProvider, Secret } from "@usmp/protocol";
import { flipBits, SeededRandom, seededCrypto, toyCrypto } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { establish, SESSION_ID, sealed } from "./session.ts";

const TEXT_LENGTH = 5;
const SALT: Uint8Array = new Uint8Array(32).fill(3);
const INFO: Uint8Array = Uint8Array.of(9);

/** What simulations rely on must hold of the toy as it does of the real thing. */
const PROVIDERS: readonly (readonly [string, (seed: number) => CryptoProvider])[] = [
  ["toy", (seed) => toyCrypto(new SeededRandom(seed))],
  ["node", (seed) => seededCrypto(nodeCrypto, new SeededRandom(seed))],
];

describe.each(PROVIDERS)("the %s provider", (_, make) => {
  test("gives two ends the same keys, and each direction its own", () => {
    const { client, server } = establish(make(1));
    const out = new Uint8Array(TEXT_LENGTH);
    expect(server.receive.open(sealed(client, 0), out)).toBe(true);
    expect(Buffer.from(out).toString()).toBe("hello");
    expect(client.receive.open(sealed(client, 0), out)).toBe(false);
    expect(client.transmit.acknowledgementMac(SALT)).toEqual(server.receive.acknowledgementMac(SALT));
    expect(client.transmit.acknowledgementMac(SALT)).not.toEqual(client.receive.acknowledgementMac(SALT));
    expect(client.transmit.acknowledgementMac(SALT)).toHaveLength(8);
  });

  test("hides the text, and refuses a frame in which anything but the CRC was changed", () => {
    const random = new SeededRandom(7);
    const { client, server } = establish(make(2));
    const frame = sealed(client, 4, "a text of some length");
    expect(Buffer.from(frame).includes("text")).toBe(false);
    const out = new Uint8Array(21);
    for (let i = 0; i < 2_000; i++) {
      const damaged = flipBits(frame, random);
      damaged.set(frame.subarray(10, 12), 10);
      if (Buffer.compare(damaged, frame) === 0) continue;
      expect(server.receive.open(damaged, out)).toBe(false);
    }
    expect(server.receive.open(frame, out)).toBe(true);
  });

  test("derives the same next epoch at both ends, another for each initiator and salt", () => {
    const { client, server } = establish(make(3));
    const ours = client.next("us", SALT, INFO);
    const theirs = server.next("peer", SALT, INFO);
    const out = new Uint8Array(TEXT_LENGTH);
    expect(theirs.receive.open(sealed(ours, 0), out)).toBe(true);
    expect(ours.receive.open(sealed(theirs, 0), out)).toBe(true);
    const others = [client, client.next("peer", SALT, INFO), client.next("us", new Uint8Array(32), INFO)];
    for (const other of others) expect(theirs.receive.open(sealed(other, 0), out)).toBe(false);
  });

  test("hashes the concatenation of the parts, under the key", () => {
    const crypto = make(4);
    const testKey = new Secret(SALT);
    const mac = crypto.hmacSha256(testKey, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
    expect(mac).toHaveLength(32);
    expect(crypto.hmacSha256(testKey, [Uint8Array.of(1), Uint8Array.of(2, 3)])).toEqual(mac);
    expect(crypto.hmacSha256(testKey, [Uint8Array.of(1, 2)])).not.toEqual(mac);
    expect(crypto.hmacSha256(new Secret(INFO), [Uint8Array.of(1, 2, 3)])).not.toEqual(mac);
  });

  test("imports a key pair and traffic keys", () => {
    const crypto = make(5);
    const testKey = new Secret(SALT);
    expect(crypto.importKeyPair(testKey).publicKey).toEqual(crypto.importKeyPair(testKey).publicKey);
    const client = crypto.importTrafficKeys("client", testKey, new Secret(new Uint8Array(32)), SESSION_ID);
    const server = crypto.importTrafficKeys("server", testKey, new Secret(new Uint8Array(32)), SESSION_ID);
    expect(server.receive.open(sealed(client, 1), new Uint8Array(TEXT_LENGTH))).toBe(true);
  });

  test("lets nothing that was wiped be used again", () => {
    const crypto = make(6);
    const { client } = establish(crypto);
    const { transmit } = client;
    client.wipe();
    expect(() => transmit.seal(new Uint8Array(40))).toThrow();
    expect(() => client.next("us", SALT, INFO)).toThrow();
    const pair = crypto.generateKeyPair();
    pair.wipe();
    const request = { side: "client", peerPublicKey: SALT, salt: SALT, info: INFO, sessionId: SESSION_ID } as const;
    expect(() => crypto.deriveTrafficKeys({ ...request, keyPair: pair })).toThrow();
  });
});

test("the toy provider answers undefined for the one public key that shares nothing with it: its own", () => {
  const crypto = toyCrypto(new SeededRandom(8));
  const keyPair = crypto.generateKeyPair();
  const request = { side: "client", keyPair, salt: SALT, info: INFO, sessionId: SESSION_ID } as const;
  expect(crypto.deriveTrafficKeys({ ...request, peerPublicKey: keyPair.publicKey })).toBeUndefined();
});
