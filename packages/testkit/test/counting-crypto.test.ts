import { nodeCrypto } from "@usmp/crypto";
import { Secret } from "@usmp/protocol";
import { countingCrypto } from "@usmp/testkit";
import { expect, test } from "vitest";
import { establish, SESSION_ID, sealed } from "./session.ts";

test("a counting provider counts every call, those of its keys in every epoch included", () => {
  const counting = countingCrypto(nodeCrypto);
  const { provider, calls } = counting;
  expect(counting.total()).toBe(0);

  const { client, server } = establish(provider);
  expect(calls).toMatchObject({ generateKeyPair: 2, randomFill: 1, deriveTrafficKeys: 2 });
  server.receive.open(sealed(client, 0), new Uint8Array(5));
  expect(calls).toMatchObject({ seal: 1, open: 1, acknowledgementMac: 0 });

  const next = client.next("us", new Uint8Array(32), Uint8Array.of(1));
  next.next("peer", new Uint8Array(32), Uint8Array.of(1)).transmit.acknowledgementMac(Uint8Array.of(1));
  sealed(next, 0);
  expect(calls).toMatchObject({ nextKeys: 2, acknowledgementMac: 1, seal: 2 });

  const testKey = new Secret(new Uint8Array(32).fill(9));
  provider.importKeyPair(testKey);
  provider.hmacSha256(testKey, []);
  provider.importTrafficKeys("server", testKey, testKey, SESSION_ID).receive.acknowledgementMac(Uint8Array.of(1));
  expect(calls).toMatchObject({ importKeyPair: 1, hmacSha256: 1, importTrafficKeys: 1, acknowledgementMac: 2 });
  expect(counting.total()).toBe(2 + 1 + 2 + 2 + 1 + 2 + 2 + 1 + 1 + 1);

  counting.reset();
  expect(counting.total()).toBe(0);
});

test("a counting provider passes on that a key share was weak, and wipes what it wrapped", () => {
  const counting = countingCrypto(nodeCrypto);
  const keyPair = counting.provider.generateKeyPair();
  const weak = { side: "server", keyPair, peerPublicKey: new Uint8Array(32), salt: new Uint8Array(32) } as const;
  expect(
    counting.provider.deriveTrafficKeys({ ...weak, info: new Uint8Array(1), sessionId: SESSION_ID }),
  ).toBeUndefined();
  const { client } = establish(counting.provider);
  client.wipe();
  expect(() => sealed(client, 0)).toThrow("wiped");
});
