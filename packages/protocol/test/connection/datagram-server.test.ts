import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import type { Secret } from "../../src/crypto/secret.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  datagramsFrom,
  describe as describeDatagram,
  establishedDatagramServer,
  newEndpoint,
  type ServerOverrides,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { after, DEVICE_ID, filled, otherTestPsk, randomBytes, START, testPsk } from "../support/fixtures.ts";
import { RawClient, tampered } from "../support/raw-peer.ts";
import { closeReason, eventsFrom } from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

/** A server that has sent CHALLENGE, its client, and the client's HELLO_ACK. */
function challenged(overrides: ServerOverrides = {}, candidates: readonly Secret[] | "not yet" = [testPsk()]) {
  const endpoint = newEndpoint(overrides);
  const peer = overrides.peer ?? new RawClient();
  const { machine, challenge, cookieHello } = challengedServer(endpoint, peer);
  if (candidates !== "not yet") machine.provideKeys(candidates, START);
  datagramsFrom(machine);
  const give = (datagram: Uint8Array, ms = 0) => endpoint.handleDatagram(datagram, CLIENT_ADDRESS, after(ms));
  return { endpoint, machine, peer, give, cookieHello, helloAck: peer.answer(challenge) };
}

function wrongProof(): Uint8Array {
  return encodeFrame(FrameType.HELLO_ACK, 2, randomBytes(32));
}

function resends(machine: ReturnType<typeof challenged>["machine"], untilMs: number): [number, string][] {
  const out: [number, string][] = [];
  for (let next = machine.pollTimeout(); next !== undefined && next <= after(untilMs); next = machine.pollTimeout()) {
    machine.handleTimeout(next);
    for (const { data } of datagramsFrom(machine)) out.push([next - START, describeDatagram(data)]);
  }
  return out;
}

describe("a datagram server's handshake", () => {
  it("acknowledges HELLO_ACK and sends SESSION_OK once the proof is good", () => {
    const { machine, give, helloAck, peer } = challenged();
    give(helloAck);
    const { frames, utacks } = sent(machine);
    expect(utacks).toEqual([encodeUtack(FrameType.HELLO_ACK, 2)]);
    expect(peer.finish(frames[0] as Uint8Array).sessionId).toHaveLength(16);
    expect(eventsFrom(machine)).toMatchObject([
      { type: "keys-needed", deviceId: DEVICE_ID },
      { type: "established", deviceId: DEVICE_ID, keyIndex: 0 },
    ]);
  });

  it("waits for keys that come after HELLO_ACK, and sends nothing before", () => {
    const { machine, give, helloAck } = challenged({}, "not yet");
    give(helloAck);
    expect(datagramsFrom(machine)).toEqual([]);
    give(helloAck);
    give(wrongProof());
    expect(machine.counters.dropped("unexpected-type")).toBe(1);
    machine.provideKeys([testPsk()], START);
    expect(sentTypes(machine)).toEqual(["UTACK of HELLO_ACK", "SESSION_OK"]);
  });

  it("echoes in the UTACK of HELLO_ACK the seq that came", () => {
    const { machine, give, helloAck } = challenged();
    give(encodeFrame(FrameType.HELLO_ACK, 99, helloAck.subarray(12)));
    expect(sent(machine).utacks).toEqual([encodeUtack(FrameType.HELLO_ACK, 99)]);
  });

  it("sends CHALLENGE again until a UTACK comes, with the UTACK of HELLO as long as no HELLO_ACK shows that it came", () => {
    const { endpoint, machine, give, cookieHello } = challenged();
    expect(resends(machine, 1_000)).toEqual([
      [500, "UTACK of HELLO"],
      [500, "CHALLENGE"],
      [1_000, "UTACK of HELLO"],
      [1_000, "CHALLENGE"],
    ]);
    give(encodeUtack(FrameType.SESSION_OK, 0), 1_000);
    expect(resends(machine, 1_500)).toEqual([
      [1_500, "UTACK of HELLO"],
      [1_500, "CHALLENGE"],
    ]);
    give(encodeUtack(FrameType.CHALLENGE, 0), 1_500);
    give(encodeUtack(FrameType.CHALLENGE, 0), 1_500);
    expect(endpoint.counters.dropped("unmatched-utack")).toBe(2);
    expect(resends(machine, 2_500)).toEqual([
      [2_000, "UTACK of HELLO"],
      [2_500, "UTACK of HELLO"],
    ]);
    give(cookieHello, 2_600);
    expect(sentTypes(machine)).toEqual(["UTACK of HELLO", "CHALLENGE"]);
  });

  it("sends SESSION_OK again until a UTACK comes; a HELLO_ACK that comes again recalls both", () => {
    const { machine, give, helloAck } = challenged();
    give(helloAck);
    datagramsFrom(machine);
    expect(resends(machine, 1_000)).toEqual([
      [500, "UTACK of HELLO_ACK"],
      [500, "SESSION_OK"],
      [1_000, "UTACK of HELLO_ACK"],
      [1_000, "SESSION_OK"],
    ]);
    give(encodeUtack(FrameType.SESSION_OK, 0), 1_000);
    // The client may still wait for the UTACK of its HELLO_ACK (F9).
    expect(resends(machine, 9_000)).toEqual([
      [1_500, "UTACK of HELLO_ACK"],
      [2_000, "UTACK of HELLO_ACK"],
      [2_500, "UTACK of HELLO_ACK"],
      [3_000, "UTACK of HELLO_ACK"],
    ]);
    give(helloAck, 9_000);
    expect(sentTypes(machine)).toEqual(["UTACK of HELLO_ACK", "SESSION_OK"]);
  });

  it("acknowledges a late HELLO_ACK for the whole session (F9), and HELLO too, without another SESSION_OK", () => {
    const { machine, give, helloAck, peer, cookieHello } = challenged();
    give(helloAck);
    const raw = peer.finish(sent(machine).frames[0] as Uint8Array);
    give(raw.seal("DATA", 0));
    datagramsFrom(machine);
    give(helloAck, 20_000);
    give(cookieHello, 20_000);
    expect(sentTypes(machine)).toEqual(["UTACK of HELLO_ACK", "UTACK of HELLO"]);
  });

  it("is not live before an authentic frame: a session frame acknowledges SESSION_OK", () => {
    const { machine, give, helloAck, peer } = challenged();
    give(helloAck);
    const raw = peer.finish(sent(machine).frames[0] as Uint8Array);
    eventsFrom(machine);
    give(encodeUtack(FrameType.SESSION_OK, 0));
    expect(eventsFrom(machine)).toEqual([]);
    give(raw.seal("PONG", 0), 10);
    expect(eventsFrom(machine)).toEqual([{ type: "proven" }]);
    give(raw.seal("PONG", 1), 20);
    expect(eventsFrom(machine)).toEqual([]);
    expect(resends(machine, 5_000)).toEqual([]);
  });

  it("is live after a UTACK whose MAC verifies", () => {
    const { machine, raw, give } = establishedDatagramServer();
    machine.send(filled(1, 1), START);
    give(raw.utack(sent(machine).frames[0] as Uint8Array), START);
    expect(eventsFrom(machine)).toEqual([{ type: "proven" }, { type: "acknowledged", id: 0 }]);
  });

  it("sends no session frame before SESSION_OK is acknowledged, and then the application's first with seq 0", () => {
    const { machine, raw, give } = establishedDatagramServer({ confirm: false });
    machine.send(filled(1, 1), START);
    machine.ping(START);
    expect(datagramsFrom(machine)).toEqual([]);
    give(encodeUtack(FrameType.SESSION_OK, 0), START);
    const frames = sent(machine).frames.map((frame) => raw.open(frame));
    expect(frames).toMatchObject([{ type: "PING" }, { type: "DATA" }]);
  });

  it("ends a session whose SESSION_OK nobody ever acknowledged, at the handshake's deadline", () => {
    const { machine, endpoint } = establishedDatagramServer({ confirm: false });
    resends(machine, 9_999);
    expect(machine.state).toBe("established");
    machine.handleTimeout(after(10_000));
    expect(closeReason(machine)).toEqual({ code: "handshake-timeout", awaiting: "SESSION_OK" });
    expect(endpoint.sessionCount).toBe(0);
  });

  it("that nobody acknowledged ends for that reason, though a stranger's wrong proof came first (simulation, seed 100005280)", () => {
    const { machine, give, helloAck } = challenged();
    give(wrongProof());
    give(helloAck);
    for (let ms = 500; ms <= 10_000; ms += 500) machine.handleTimeout(after(ms));
    expect(closeReason(machine)).toEqual({ code: "handshake-timeout", awaiting: "SESSION_OK" });
  });

  it("is done once: keys that come later change nothing", () => {
    const { machine } = establishedDatagramServer();
    machine.provideKeys([otherTestPsk()], START);
    expect(machine.state).toBe("established");
    expect(datagramsFrom(machine)).toEqual([]);
  });
});

describe("a wrong proof to a datagram server", () => {
  it("is dropped, counted and told once; it gets no byte; the true one still completes", () => {
    const { machine, give, helloAck } = challenged();
    eventsFrom(machine);
    give(wrongProof());
    give(wrongProof());
    expect(datagramsFrom(machine)).toEqual([]);
    expect(eventsFrom(machine)).toEqual([{ type: "proof-refused", cause: "wrong-key" }]);
    expect(machine.counters.dropped("bad-proof")).toBe(2);
    give(helloAck);
    expect(machine.state).toBe("established");
  });

  it("is checked eight times at once, then once each 250 ms, with no X25519 exchange; the true one still completes", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const { machine, give, helloAck } = challenged({
      server: { crypto: provider, limits: { wrongProofsPerSecond: 1 } },
    });
    reset();
    // The ninth is at the cost of the whole server, which has one a second to spare here.
    for (let i = 0; i < 100; i++) give(wrongProof(), 10);
    expect(calls).toMatchObject({ hmacSha256: 9 * 2, deriveTrafficKeys: 0, generateKeyPair: 0 });
    expect(machine.counters.dropped("proof-budget")).toBe(91);
    give(helloAck, 259);
    expect(machine.state).toBe("handshaking");
    give(helloAck, 260);
    expect(machine.state).toBe("established");
    expect(calls.deriveTrafficKeys).toBe(1);
  });

  it("does not keep the true one waiting, however many come, while the server can afford to look", () => {
    const { machine, give, helloAck } = challenged();
    for (let i = 0; i < 1_000; i++) give(wrongProof(), 10);
    give(helloAck, 10);
    expect(machine.state).toBe("established");
  });

  it.each<[string, readonly Secret[], boolean, string]>([
    ["wrong", [otherTestPsk()], false, "wrong-key"],
    ["of an unknown device", [], false, "unknown-device"],
    ["of our own device id, come back", [testPsk()], true, "own-device-id"],
  ])("that stays %s is the reason of the end, at the deadline", (_, candidates, own, cause) => {
    const { machine, give, helloAck } = challenged({ server: { isOwnDevice: () => own } }, candidates);
    give(helloAck);
    expect(datagramsFrom(machine)).toEqual([]);
    machine.handleTimeout(after(10_000));
    expect(closeReason(machine)).toEqual({ code: "authentication-failed", cause });
  });

  it("costs the same for a wrong key, an unknown device and our own id", () => {
    const costs = [
      { candidates: [otherTestPsk()], own: false },
      { candidates: [], own: false },
      { candidates: [testPsk()], own: true },
    ].map(({ candidates, own }) => {
      const { provider, calls } = countingCrypto(defaultCrypto());
      const { give, helloAck } = challenged({ server: { crypto: provider, isOwnDevice: () => own } }, candidates);
      give(helloAck);
      return { ...calls };
    });
    expect(costs[0]).toMatchObject({ generateKeyPair: 1, deriveTrafficKeys: 0 });
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });

  it("is none when the application's look-up did not answer in time: that counts against nobody", () => {
    const { machine, give, helloAck } = challenged({}, "not yet");
    give(helloAck);
    machine.handleTimeout(after(10_000));
    expect(closeReason(machine)).toEqual({ code: "handshake-timeout", awaiting: "keys" });
  });

  it("is none when no HELLO_ACK ever came: that is a timeout", () => {
    const { machine } = challenged();
    machine.handleTimeout(after(10_000));
    expect(closeReason(machine)).toEqual({ code: "handshake-timeout", awaiting: "HELLO_ACK" });
  });

  it("is any single bit that is flipped in HELLO_ACK, CRC made good again", () => {
    for (let bit = 0; bit < 32 * 8; bit++) {
      const { machine, give, helloAck } = challenged();
      give(tampered(helloAck, 12 + (bit >>> 3), 1 << (bit & 7)));
      if (machine.state !== "handshaking") expect.fail(`bit ${bit} was accepted`);
    }
  });
});

describe("a datagram server drops and counts", () => {
  it("a HELLO_ACK of another length", () => {
    const { machine, give } = challenged();
    give(encodeFrame(FrameType.HELLO_ACK, 2, filled(31, 1)));
    expect(machine.counters.dropped("bad-length")).toBe(1);
    expect(machine.state).toBe("handshaking");
  });

  it("a frame that is not HELLO_ACK, should its endpoint hand it over", () => {
    const { machine } = challenged();
    machine.handleDatagram(encodeFrame(FrameType.CHALLENGE, 0, filled(64, 1)), CLIENT_ADDRESS, START);
    expect(machine.counters.dropped("unexpected-type")).toBe(1);
  });

  it("a replayed HELLO_ACK of an earlier handshake", () => {
    const first = challenged();
    first.give(first.helloAck);
    const second = challenged({ peer: first.peer });
    second.give(first.helloAck);
    expect(second.machine.state).toBe("handshaking");
    expect(second.machine.counters.dropped("bad-proof")).toBe(1);
  });
});

it("a datagram server's keys are all wiped when it closes, in the handshake and after", () => {
  for (const close of ["handshaking", "refused", "established"] as const) {
    const ledger = wipeLedger(defaultCrypto());
    const { machine, give, helloAck, endpoint } = challenged({ server: { crypto: ledger.provider } });
    if (close === "established") give(helloAck);
    if (close === "refused") give(wrongProof());
    expect(ledger.alive).toHaveLength(1);
    machine.abort();
    machine.abort();
    expect(ledger.alive).toEqual([]);
    expect(endpoint.handshakeCount + endpoint.sessionCount).toBe(0);
  }
});
