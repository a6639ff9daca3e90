import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { defaultCrypto } from "@usmp/crypto";
import type { DatagramServer } from "../../src/connection/datagram-server.ts";
import { ProofTrial } from "../../src/handshake/proof-trial.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { CLIENT_ADDRESS, challengedServer, newEndpoint } from "../support/datagrams.ts";
import { otherTestPsk, randomBytes, START, testPsk } from "../support/fixtures.ts";
import { RawClient } from "../support/raw-peer.ts";
import { framesFrom, newStreamClient, newStreamServer, onlyFrame } from "../support/streams.ts";

/** A server that refused a proof made with testPsk(), because it holds another key. */
function refusedOverStream() {
  const server = newStreamServer();
  const peer = new RawClient();
  server.handleBytes(peer.hello(), START);
  server.provideKeys([otherTestPsk()], START);
  server.handleBytes(peer.answer(onlyFrame(framesFrom(server))), START);
  return server;
}

function refusedOverDatagrams(): DatagramServer {
  const endpoint = newEndpoint();
  const peer = new RawClient();
  const { machine, challenge } = challengedServer(endpoint, peer);
  machine.provideKeys([otherTestPsk()], START);
  endpoint.handleDatagram(peer.answer(challenge), CLIENT_ADDRESS, START);
  return machine;
}

describe("a refused proof", () => {
  it.each([
    ["a stream", refusedOverStream],
    ["datagrams", refusedOverDatagrams],
  ])("can be tried with other keys, also after the end, over %s", (_, refuse) => {
    const connection = refuse();
    connection.abort();
    const trial = connection.takeProofTrial();
    expect(trial?.matches(testPsk())).toBe(true);
    expect(trial?.matches(otherTestPsk())).toBe(false);
    expect(connection.takeProofTrial()).toBeUndefined();
  });

  it("matches nothing any more once it is wiped", () => {
    const trial = refusedOverStream().takeProofTrial();
    trial?.wipe();
    trial?.wipe();
    expect(trial?.matches(testPsk())).toBe(false);
  });

  it("can be moved to another trial, and is empty then", () => {
    const trial = refusedOverStream().takeProofTrial();
    const tried = trial?.take();
    expect(trial?.matches(testPsk())).toBe(false);
    expect(trial?.take()).toBeUndefined();
    if (tried === undefined) return expect.unreachable("it held a proof");
    const moved = new ProofTrial(defaultCrypto(), tried.proof, tried.transcript);
    expect(moved.matches(testPsk())).toBe(true);
    moved.wipe();
    expect(tried.proof).toEqual(new Uint8Array(32));
  });

  it("shows nothing when it is printed", () => {
    const trial = refusedOverStream().takeProofTrial();
    expect([inspect(trial, { depth: 9, showHidden: true }), JSON.stringify(trial)]).toEqual(["ProofTrial {}", "{}"]);
  });

  it("is not there while nothing was refused, nor for a reflection of our own HELLO, nor at a client", () => {
    expect(newStreamServer().takeProofTrial()).toBeUndefined();
    expect(newStreamClient().takeProofTrial()).toBeUndefined();
    const server = newStreamServer({ server: { isOwnDevice: () => true } });
    server.handleBytes(new RawClient().hello(), START);
    server.provideKeys([], START);
    server.handleBytes(encodeFrame(FrameType.HELLO_ACK, 2, randomBytes(32)), START);
    expect(server.state).toBe("closed");
    expect(server.takeProofTrial()).toBeUndefined();
  });
});
