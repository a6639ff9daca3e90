import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { ClientHandshake, MAX_CHALLENGES } from "../../src/handshake/client.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import type { Challenge, SessionOk } from "../../src/wire/message.ts";
import { parseChallenge, parseSessionOk } from "../../src/wire/message.ts";
import { DEVICE_ID, filled, otherTestPsk, testPsk } from "../support/fixtures.ts";
import { payloadOfBytes, RawServer } from "../support/raw-peer.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

function challengeOf(server: RawServer, client: ClientHandshake): Challenge {
  const challenge = parseChallenge(payloadOfBytes(server.challenge(encodeFrame(FrameType.HELLO, 0, client.hello()))));
  if (challenge === undefined) throw new Error("no CHALLENGE");
  return challenge;
}

function sessionOkOf(server: RawServer, psk = testPsk()): SessionOk {
  const sessionOk = parseSessionOk(payloadOfBytes(server.sessionOk(psk)));
  if (sessionOk === undefined) throw new Error("no SESSION_OK");
  return sessionOk;
}

describe("a client's handshake", () => {
  it("says device id and public key, and brings back a cookie behind them", () => {
    const client = new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID);
    expect(client.hello()).toHaveLength(38);
    expect(client.hello().subarray(0, 6)).toEqual(DEVICE_ID);
    const cookie = filled(16, 0xcc);
    expect(client.hello(cookie)).toEqual(Uint8Array.from([...client.hello(), ...cookie]));
  });

  it("makes a new key pair each time", () => {
    const hello = () => new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID).hello();
    expect(hello()).not.toEqual(hello());
  });

  it("ends in the session that the server means", () => {
    const client = new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID);
    const server = new RawServer();
    const proof = client.answer(challengeOf(server, client));
    expect(server.accepts(encodeFrame(FrameType.HELLO_ACK, 2, proof as Uint8Array))).toBe(true);
    expect(client.finish(sessionOkOf(server))).toMatchObject({ sessionId: server.sessionId });
  });

  it("answers up to four different CHALLENGEs, and the one whose proof is good wins", () => {
    const client = new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID);
    const servers = Array.from({ length: MAX_CHALLENGES + 1 }, () => new RawServer());
    const answers = servers.map((server) => client.answer(challengeOf(server, client)));
    expect(answers.map((answer) => answer !== undefined)).toEqual([true, true, true, true, false]);
    const [, , third, , fifth] = servers as [RawServer, RawServer, RawServer, RawServer, RawServer];
    expect(client.finish(sessionOkOf(fifth))).toBe("bad-proof");
    expect(client.finish(sessionOkOf(third))).toMatchObject({ sessionId: third.sessionId });
  });

  it("gives the same answer to the same CHALLENGE, however often it comes", () => {
    const client = new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID);
    const challenge = challengeOf(new RawServer(), client);
    const first = client.answer(challenge);
    for (let i = 0; i < 10; i++) expect(client.answer(challenge)).toEqual(first);
  });

  it("takes CHALLENGEs for different ones when either the nonce or the key differs", () => {
    const client = new ClientHandshake(defaultCrypto(), testPsk(), DEVICE_ID);
    const challenge = challengeOf(new RawServer(), client);
    const first = client.answer(challenge);
    expect(client.answer({ ...challenge, nonce: filled(32, 1) })).not.toEqual(first);
    expect(client.answer({ ...challenge, publicKey: filled(32, 1) })).not.toEqual(first);
  });

  it("does no X25519 exchange before the server's proof was good", () => {
    const { provider, calls } = countingCrypto(defaultCrypto());
    const client = new ClientHandshake(provider, testPsk(), DEVICE_ID);
    const server = new RawServer();
    client.answer(challengeOf(server, client));
    expect(client.finish(sessionOkOf(server, otherTestPsk()))).toBe("bad-proof");
    expect(calls.deriveTrafficKeys).toBe(0);
    expect(client.finish(sessionOkOf(server))).toMatchObject({ sessionId: server.sessionId });
    expect(calls.deriveTrafficKeys).toBe(1);
  });

  it.each(["done", "given up"])("holds no private key once it is %s", (end) => {
    const ledger = wipeLedger(defaultCrypto());
    const client = new ClientHandshake(ledger.provider, testPsk(), DEVICE_ID);
    const server = new RawServer();
    client.answer(challengeOf(server, client));
    expect(ledger.alive).toEqual(["key pair 0"]);
    if (end === "done") client.finish(sessionOkOf(server));
    else client.wipe();
    client.wipe();
    expect(ledger.alive.filter((what) => what.startsWith("key pair"))).toEqual([]);
  });
});
