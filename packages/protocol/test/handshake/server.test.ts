import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import { randomSessionId, ServerHandshake } from "../../src/handshake/server.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { parseHello } from "../../src/wire/message.ts";
import { filled, otherTestPsk, testPsk } from "../support/fixtures.ts";
import { payloadOfBytes, RawClient } from "../support/raw-peer.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

const SESSION_ID = filled(16, 0x77);

function begun(crypto = defaultCrypto(), client = new RawClient()) {
  const hello = parseHello(payloadOfBytes(client.hello()));
  if (hello === undefined) throw new Error("no HELLO");
  const server = new ServerHandshake(crypto, hello);
  const proof = payloadOfBytes(client.answer(encodeFrame(FrameType.CHALLENGE, 0, server.challenge())));
  return { client, server, proof };
}

describe("a server's handshake", () => {
  it("challenges with a nonce of its own and its public key, the same for its life", () => {
    const { server } = begun();
    expect(server.challenge()).toHaveLength(64);
    expect(server.challenge()).toEqual(server.challenge());
    expect(begun().server.challenge()).not.toEqual(server.challenge());
  });

  it("ends in the session that the client means", () => {
    const { client, server, proof } = begun();
    const accepted = server.accept(proof, [testPsk()], () => SESSION_ID);
    if (typeof accepted === "string") return expect.fail(accepted);
    const session = client.finish(encodeFrame(FrameType.SESSION_OK, 0, accepted.sessionOk));
    expect(session.sessionId).toEqual(SESSION_ID);
    expect(accepted.keyIndex).toBe(0);
  });

  it.each([0, 1, 2, 3])("finds which of four candidate keys proved: the one at %i", (index) => {
    const candidates = [1, 2, 3, 4].map((fill) => new Secret(filled(32, fill)));
    const { server, proof } = begun(defaultCrypto(), new RawClient({ psk: candidates[index] as Secret }));
    expect(server.accept(proof, candidates, () => SESSION_ID)).toMatchObject({ keyIndex: index });
  });

  it("does not try a fifth candidate", () => {
    const candidates = [1, 2, 3, 4, 5].map((fill) => new Secret(filled(32, fill)));
    const { server, proof } = begun(defaultCrypto(), new RawClient({ psk: candidates[4] as Secret }));
    expect(server.accept(proof, candidates, () => SESSION_ID)).toBe("bad-proof");
  });

  it("does not accept a proof under the decoy that stands in for missing candidates", () => {
    const { server, proof } = begun(defaultCrypto(), new RawClient({ psk: new Secret(filled(32, 0)) }));
    expect(server.accept(proof, [], () => SESSION_ID)).toBe("bad-proof");
    expect(server.accept(proof, [testPsk()], () => SESSION_ID)).toBe("bad-proof");
  });

  it("costs as many HMACs for an unknown device as for a wrong key, and no X25519 exchange for either", () => {
    const work = (candidates: readonly Secret[]) => {
      const { provider, calls } = countingCrypto(defaultCrypto());
      const { server, proof } = begun(provider, new RawClient({ psk: otherTestPsk() }));
      expect(server.accept(proof, candidates, () => SESSION_ID)).toBe("bad-proof");
      return { ...calls };
    };
    const unknown = work([]);
    expect(unknown).toMatchObject({ generateKeyPair: 1, hmacSha256: 2, deriveTrafficKeys: 0 });
    expect(work([testPsk()])).toEqual(unknown);
    expect(work([testPsk(), testPsk()])).toEqual(unknown);
  });

  it("may be given another proof after a wrong one", () => {
    const { server, proof } = begun();
    expect(server.accept(filled(32, 0), [testPsk()], () => SESSION_ID)).toBe("bad-proof");
    expect(server.accept(proof, [testPsk()], () => SESSION_ID)).toMatchObject({ keyIndex: 0 });
  });

  it.each(["done", "given up"])("holds no private key once it is %s", (end) => {
    const ledger = wipeLedger(defaultCrypto());
    const { server, proof } = begun(ledger.provider);
    expect(ledger.alive).toEqual(["key pair 0"]);
    if (end === "done") server.accept(proof, [testPsk()], () => SESSION_ID);
    else server.wipe();
    server.wipe();
    expect(ledger.alive.filter((what) => what.startsWith("key pair"))).toEqual([]);
  });
});

it("session ids are 16 bytes from the provider", () => {
  const provider = { ...defaultCrypto(), randomFill: (out: Uint8Array) => void out.fill(0xab) };
  expect(randomSessionId(provider)).toEqual(filled(16, 0xab));
});
