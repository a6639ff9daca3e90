import { inspect } from "node:util";
import { frameCrc, type KeyPair, Secret, type TrafficKeys, UsageError } from "@usmp/protocol";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "./hex.ts";
import { providers } from "./providers.ts";
import { establish, frameOf, importSession, opened } from "./sessions.ts";

const TEST_KEY_HEX = "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f";
const OTHER_TEST_KEY_HEX = "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f";
const HELLO = Uint8Array.from(Buffer.from("hello"));
const SALT = new Uint8Array(32).fill(7);
const INFO = Uint8Array.of(9, 9);

describe.each(providers)("the $name provider", ({ name, crypto }) => {
  it("says its name", () => {
    expect(crypto.name).toBe(name);
  });

  describe("randomness", () => {
    it("fills a buffer of any size to its end, and never the same way", () => {
      // 32 zero bytes at a chosen place come by chance once in 2^256 fills.
      const large = new Uint8Array(200_000);
      crypto.randomFill(large);
      for (const start of [0, 65_536 - 16, 131_072 - 16, large.length - 32]) {
        expect(large.subarray(start, start + 32)).not.toEqual(new Uint8Array(32));
      }
      expect(large.subarray(0, 32)).not.toEqual(large.subarray(65_536, 65_568));
    });

    it("fills only the view that it was given", () => {
      const whole = new Uint8Array(64);
      crypto.randomFill(whole.subarray(16, 48));
      expect(whole.subarray(0, 16)).toEqual(new Uint8Array(16));
      expect(whole.subarray(48)).toEqual(new Uint8Array(16));
    });

    it("makes a new key pair every time", () => {
      const publicKeys = Array.from({ length: 8 }, () => toHex(crypto.generateKeyPair().publicKey));
      expect(new Set(publicKeys).size).toBe(8);
      for (const publicKey of publicKeys) expect(publicKey).toHaveLength(64);
    });
  });

  describe("record keys", () => {
    it("open at one end what the other sealed, in both directions", () => {
      const { client, server } = establish(crypto, crypto);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        const frame = frameOf(HELLO);
        from.transmit.seal(frame);
        expect(opened(to, frame)).toEqual(HELLO);
      }
    });

    it("have a key of their own for each direction: a frame reflected to its sender does not open", () => {
      const { client, server } = establish(crypto, crypto);
      const frame = frameOf(HELLO);
      client.transmit.seal(frame);
      expect(opened(client, frame)).toBeUndefined();
      expect(opened(server, frame)).toEqual(HELLO);
    });

    it("seal an empty plaintext into a tag", () => {
      const { client, server } = establish(crypto, crypto);
      const frame = frameOf(new Uint8Array(0));
      client.transmit.seal(frame);
      expect(frame.subarray(24)).not.toEqual(new Uint8Array(16));
      expect(opened(server, frame)).toEqual(new Uint8Array(0));
    });

    it.each([0, 1, 2, 3, 5])(
      "write the CRC, the text and its tag only, with the frame at offset %i of a shared buffer",
      (offset) => {
        const { client, server } = establish(crypto, crypto);
        const block = new Uint8Array(offset + 45 + 9).fill(0xee);
        const frame = block.subarray(offset, offset + 45);
        frame.set(frameOf(HELLO));
        const header = frame.slice(0, 24);
        client.transmit.seal(frame);
        expect(frame.subarray(0, 10)).toEqual(header.subarray(0, 10));
        expect(frame.subarray(12, 24)).toEqual(header.subarray(12));
        expect(new DataView(frame.buffer, frame.byteOffset).getUint16(10, true)).toBe(frameCrc(frame));
        expect(block.subarray(0, offset)).toEqual(new Uint8Array(offset).fill(0xee));
        expect(block.subarray(offset + 45)).toEqual(new Uint8Array(9).fill(0xee));
        expect(opened(server, frame)).toEqual(HELLO);
      },
    );

    it("refuse a frame with any bit flipped that the tag covers, change neither it nor the output, and still open the true one", () => {
      const { client, server } = establish(crypto, crypto);
      const frame = frameOf(HELLO);
      client.transmit.seal(frame);
      for (let bit = 0; bit < frame.length * 8; bit++) {
        const index = bit >> 3;
        if (index === 10 || index === 11) continue; // the CRC
        const forged = frame.slice();
        forged[index] = (forged[index] as number) ^ (1 << (bit & 7));
        const before = forged.slice();
        const out = new Uint8Array(HELLO.length);
        expect(server.receive.open(forged, out), `bit ${bit}`).toBe(false);
        expect(forged).toEqual(before);
        expect(out).toEqual(new Uint8Array(HELLO.length));
      }
      expect(opened(server, frame)).toEqual(HELLO);
    });

    it("leave the CRC field out of what the tag covers: it is written last", () => {
      const { client, server } = establish(crypto, crypto);
      const frame = frameOf(HELLO);
      client.transmit.seal(frame);
      frame[10] = 0;
      frame[11] = 0xff;
      expect(opened(server, frame)).toEqual(HELLO);
    });

    it("make acknowledgement MACs of 8 bytes that the other end can check", () => {
      const { client, server } = establish(crypto, crypto);
      const mac = client.receive.acknowledgementMac(HELLO);
      expect(mac).toHaveLength(8);
      expect(mac).toEqual(server.transmit.acknowledgementMac(HELLO));
      expect(mac).not.toEqual(server.receive.acknowledgementMac(HELLO));
    });
  });

  describe("the next epoch", () => {
    it.each(["us", "peer"] as const)("is the same at both ends when the client sees %s initiate", (initiator) => {
      const { client, server } = establish(crypto, crypto);
      const clientNext = client.next(initiator, SALT, INFO);
      const serverNext = server.next(initiator === "us" ? "peer" : "us", SALT, INFO);
      for (const [from, to] of [
        [clientNext, serverNext],
        [serverNext, clientNext],
      ] as const) {
        const frame = frameOf(HELLO);
        from.transmit.seal(frame);
        expect(opened(to, frame)).toEqual(HELLO);
      }
    });

    it("depends on who initiated, on the salt and on the info", () => {
      const { client } = establish(crypto, crypto);
      const macs = [
        client.transmit.acknowledgementMac(HELLO),
        client.next("us", SALT, INFO).transmit.acknowledgementMac(HELLO),
        client.next("peer", SALT, INFO).transmit.acknowledgementMac(HELLO),
        client.next("us", SALT.slice(1), INFO).transmit.acknowledgementMac(HELLO),
        client.next("us", SALT, INFO.slice(1)).transmit.acknowledgementMac(HELLO),
      ];
      expect(new Set(macs.map(toHex)).size).toBe(macs.length);
    });

    it("leaves the present keys in use, and outlives them", () => {
      const { client, server } = establish(crypto, crypto);
      const [clientNext, serverNext] = [client.next("us", SALT, INFO), server.next("peer", SALT, INFO)];
      const frame = frameOf(HELLO);
      client.transmit.seal(frame);
      expect(opened(server, frame)).toEqual(HELLO);
      client.wipe();
      server.wipe();
      const later = frameOf(HELLO);
      clientNext.transmit.seal(later);
      expect(opened(serverNext, later)).toEqual(HELLO);
    });
  });

  describe("wiping", () => {
    it.each<[string, (keys: TrafficKeys) => unknown]>([
      ["seal", (keys) => keys.transmit.seal(frameOf(HELLO))],
      ["open", (keys) => opened(keys, frameOf(HELLO))],
      ["transmit.acknowledgementMac", (keys) => keys.transmit.acknowledgementMac(HELLO)],
      ["receive.acknowledgementMac", (keys) => keys.receive.acknowledgementMac(HELLO)],
      ["next", (keys) => keys.next("us", SALT, INFO)],
    ])("makes %s throw, also when wiped twice", (_, use) => {
      const { client } = establish(crypto, crypto);
      use(client);
      client.wipe();
      client.wipe();
      expectUsageError(() => use(client), "secret-wiped");
    });

    it("ends a key pair, and leaves the traffic keys that were derived from it alone", () => {
      const pair = crypto.generateKeyPair();
      const keys = derive(pair);
      pair.wipe();
      pair.wipe();
      expectUsageError(() => derive(pair), "secret-wiped");
      expect(keys?.transmit.acknowledgementMac(HELLO)).toHaveLength(8);
    });

    it("of what was imported from does not reach what was imported", () => {
      const [privateKey, clientToServer, serverToClient] = [testKey(), testKey(), testKey(OTHER_TEST_KEY_HEX)];
      const pair = crypto.importKeyPair(privateKey);
      const { client, server } = importSession(crypto, clientToServer, serverToClient);
      for (const secret of [privateKey, clientToServer, serverToClient]) secret.wipe();
      expect(derive(pair)).toBeDefined();
      const frame = frameOf(HELLO);
      client.transmit.seal(frame);
      expect(opened(server, frame)).toEqual(HELLO);
      const nextMac = client.next("us", SALT, INFO).transmit.acknowledgementMac(HELLO);
      const intact = importSession(crypto, testKey(), testKey(OTHER_TEST_KEY_HEX));
      expect(nextMac).toEqual(intact.client.next("us", SALT, INFO).transmit.acknowledgementMac(HELLO));
    });

    it("of a secret makes every use of it throw", () => {
      const wiped = testKey();
      wiped.wipe();
      expectUsageError(() => crypto.hmacSha256(wiped, [HELLO]), "secret-wiped");
      expectUsageError(() => crypto.importKeyPair(wiped), "secret-wiped");
      expectUsageError(() => crypto.importTrafficKeys("client", testKey(), wiped, new Uint8Array(16)), "secret-wiped");
    });
  });

  describe("misuse", () => {
    it.each([0, 31, 33])("names the field when a key has %i bytes", (length) => {
      const wrong = new Secret(new Uint8Array(length));
      const sessionId = new Uint8Array(16);
      const peerPublicKey = new Uint8Array(length);
      const request = { side: "client", salt: SALT, info: INFO, sessionId, peerPublicKey } as const;
      const says = (field: string) => new RegExp(`^${field} has ${length} bytes.* has 32`);
      expectUsageError(() => crypto.importKeyPair(wrong), "invalid-key", says("privateKey"));
      expectUsageError(
        () => crypto.importTrafficKeys("client", wrong, testKey(), sessionId),
        "invalid-key",
        says("clientToServer"),
      );
      expectUsageError(
        () => crypto.importTrafficKeys("client", testKey(), wrong, sessionId),
        "invalid-key",
        says("serverToClient"),
      );
      expectUsageError(
        () => crypto.deriveTrafficKeys({ ...request, keyPair: crypto.generateKeyPair() }),
        "invalid-key",
        says("peerPublicKey"),
      );
    });

    it("refuses a key pair that some other provider made", () => {
      const foreign: KeyPair = { publicKey: new Uint8Array(32), wipe: () => {} };
      expectUsageError(() => derive(foreign), "invalid-key", /another provider/);
    });
  });

  it("shows no key in inspect output, JSON or strings", () => {
    const pair = crypto.importKeyPair(testKey());
    const keys = importSession(crypto, testKey(), testKey(OTHER_TEST_KEY_HEX)).client;
    for (const value of [pair, keys, keys.transmit, crypto]) {
      const shown = [inspect(value, { showHidden: true, depth: 20 }), JSON.stringify(value), String(value)].join("\n");
      for (const hex of [TEST_KEY_HEX, OTHER_TEST_KEY_HEX]) {
        for (const form of [hex, ...printedForms(fromHex(hex))]) expect(shown).not.toContain(form);
      }
    }
  });

  function derive(keyPair: KeyPair): TrafficKeys | undefined {
    const peerPublicKey = crypto.importKeyPair(testKey(OTHER_TEST_KEY_HEX)).publicKey;
    return crypto.deriveTrafficKeys({
      side: "client",
      keyPair,
      peerPublicKey,
      salt: SALT,
      info: INFO,
      sessionId: new Uint8Array(16),
    });
  }
});

function testKey(hex: string = TEST_KEY_HEX): Secret {
  return new Secret(fromHex(hex));
}

/** How the start of a byte array looks in inspect output and in JSON. */
function printedForms(bytes: Uint8Array): string[] {
  const start = [...bytes.subarray(0, 4)];
  return [
    start.join(", "),
    start.join(","),
    start.map((byte) => byte.toString(16)).join(" "),
    start.map((byte, index) => `"${index}":${byte}`).join(","),
  ];
}

function expectUsageError(use: () => unknown, code: UsageError["code"], message = /./): void {
  let thrown: unknown;
  try {
    use();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(UsageError);
  expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) });
}
