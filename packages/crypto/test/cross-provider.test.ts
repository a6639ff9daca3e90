import { Secret } from "@usmp/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "./hex.ts";
import { providers } from "./providers.ts";
import { establish, frameOf, opened, type SessionEnds } from "./sessions.ts";

const seeded = { seed: 20_260_101, numRuns: 200 } as const;
const plaintext = fc.uint8Array({ maxLength: 452 });
const offset = fc.nat({ max: 7 });
const salt = fc.uint8Array({ minLength: 32, maxLength: 32 });
const info = fc.uint8Array({ maxLength: 80 });
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

const pairs = providers.flatMap((client) =>
  providers
    .filter((server) => server !== client)
    .map((server) => ({
      clientName: client.name,
      serverName: server.name,
      clientCrypto: client.crypto,
      serverCrypto: server.crypto,
    })),
);

describe.each(pairs)("a $clientName client and a $serverName server", ({ clientCrypto, serverCrypto }) => {
  const epochZero = establish(clientCrypto, serverCrypto);

  it("open each other's frames, of any length and at any offset", () => {
    fc.assert(
      fc.property(plaintext, offset, (text, start) => expectBothWays(epochZero, text, start)),
      seeded,
    );
  });

  it("stay together through any run of rekeys, whoever initiates", () => {
    const rekey = fc.record({ byClient: fc.boolean(), salt, info });
    fc.assert(
      fc.property(fc.array(rekey, { minLength: 1, maxLength: 6 }), plaintext, (rekeys, text) => {
        let ends = epochZero;
        for (const step of rekeys) {
          ends = {
            client: ends.client.next(step.byClient ? "us" : "peer", step.salt, step.info),
            server: ends.server.next(step.byClient ? "peer" : "us", step.salt, step.info),
          };
        }
        expectBothWays(ends, text, 0);
      }),
      seeded,
    );
  });
});

describe("all providers", () => {
  it("give the same HMAC for any key and any division into parts", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 6 }),
        (key, parts) => {
          const macs = providers.map(({ crypto }) => toHex(crypto.hmacSha256(new Secret(key), parts)));
          expect(new Set(macs).size).toBe(1);
        },
      ),
      seeded,
    );
  });

  it("derive the same keys from any private key and any bytes as the peer's public key", () => {
    fc.assert(
      fc.property(bytes32, bytes32, salt, info, (privateKey, peerPublicKey, saltBytes, infoBytes) => {
        const macs = providers.map(({ crypto }) => {
          const keyPair = crypto.importKeyPair(new Secret(privateKey));
          const sessionId = new Uint8Array(16);
          const keys = crypto.deriveTrafficKeys({
            side: "client",
            keyPair,
            peerPublicKey,
            salt: saltBytes,
            info: infoBytes,
            sessionId,
          });
          return (
            keys &&
            toHex(keys.transmit.acknowledgementMac(infoBytes)) + toHex(keys.receive.acknowledgementMac(infoBytes))
          );
        });
        expect(new Set(macs).size).toBe(1);
      }),
      seeded,
    );
  });
});

function expectBothWays({ client, server }: SessionEnds, text: Uint8Array, start: number): void {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    const frame = frameOf(text, start);
    from.transmit.seal(frame);
    expect(toHex(opened(to, frame) ?? Uint8Array.of(0xde, 0xad))).toBe(toHex(text));
  }
}
