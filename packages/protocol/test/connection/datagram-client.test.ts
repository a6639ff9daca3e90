import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { encodeFrame, FrameType, type FrameTypeName } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  datagramsFrom,
  describe as describeDatagram,
  establishedDatagramClient,
  newDatagramClient,
  SERVER_ADDRESS,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { after, filled, otherTestPsk, randomBytes, START } from "../support/fixtures.ts";
import { toHex } from "../support/hex.ts";
import { payloadOfBytes, RawServer, seqOf, tampered, typeOf } from "../support/raw-peer.ts";
import { closeReason, eventsFrom } from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

const COOKIE = filled(16, 0xc0);
const helloRetry = (cookie = COOKIE) => encodeFrame(FrameType.HELLO_RETRY, 0, cookie);

/** A client that has sent HELLO, and the server that it talks to. */
function begun(overrides: Parameters<typeof newDatagramClient>[0] = {}) {
  const client = newDatagramClient(overrides);
  const [hello] = sent(client).frames as [Uint8Array];
  const give = (datagram: Uint8Array, ms = 0) => client.handleDatagram(datagram, SERVER_ADDRESS, after(ms));
  return { client, hello, give, server: new RawServer() };
}

/** A client that has sent HELLO_ACK. */
function answered(overrides: Parameters<typeof newDatagramClient>[0] = {}) {
  const subject = begun(overrides);
  subject.give(subject.server.challenge(subject.hello));
  datagramsFrom(subject.client);
  return subject;
}

/** What leaves at each alarm up to `untilMs`, with the time of it. */
function resends(client: ReturnType<typeof newDatagramClient>, untilMs: number): [number, string][] {
  const out: [number, string][] = [];
  for (let next = client.pollTimeout(); next !== undefined && next <= after(untilMs); next = client.pollTimeout()) {
    client.handleTimeout(next);
    for (const { data } of datagramsFrom(client)) out.push([next - START, describeDatagram(data)]);
  }
  return out;
}

describe("a datagram client's handshake", () => {
  it("goes HELLO, HELLO_RETRY, HELLO with the cookie, CHALLENGE, HELLO_ACK, SESSION_OK", () => {
    const { client, hello, give, server } = begun();
    expect([typeOf(hello), seqOf(hello)]).toEqual(["HELLO", 0]);
    give(helloRetry());
    const second = sent(client);
    expect(second.utacks).toEqual([encodeUtack(FrameType.HELLO_RETRY, 0)]);
    const [cookieHello] = second.frames as [Uint8Array];
    expect(seqOf(cookieHello)).toBe(1);
    expect(toHex(payloadOfBytes(cookieHello))).toBe(toHex(payloadOfBytes(hello)) + toHex(COOKIE));
    give(server.challenge(cookieHello));
    const third = sent(client);
    expect(third.utacks).toEqual([encodeUtack(FrameType.CHALLENGE, 0)]);
    expect(server.accepts(third.frames[0] as Uint8Array)).toBe(true);
    expect(seqOf(third.frames[0] as Uint8Array)).toBe(2);
    give(server.sessionOk());
    expect(sentTypes(client)).toEqual(["UTACK of SESSION_OK"]);
    expect(eventsFrom(client)).toMatchObject([{ type: "established", sessionId: server.sessionId, keyIndex: 0 }]);
    expect(client.address).toBe(SERVER_ADDRESS);
  });

  it("echoes in each UTACK the seq that came, and does not check it", () => {
    const { client, give, server, hello } = begun();
    const withSeq = (frame: Uint8Array) => encodeFrame(frame[3] as FrameType, 77, payloadOfBytes(frame));
    give(withSeq(helloRetry()));
    expect(sent(client).utacks).toEqual([encodeUtack(FrameType.HELLO_RETRY, 77)]);
    give(withSeq(server.challenge(hello)));
    expect(sent(client).utacks).toEqual([encodeUtack(FrameType.CHALLENGE, 77)]);
    give(withSeq(server.sessionOk()));
    expect(sent(client).utacks).toEqual([encodeUtack(FrameType.SESSION_OK, 77)]);
    expect(client.state).toBe("established");
  });

  it("sends HELLO again, in 0.5, 1 and then every 2 s, whatever UTACKs say: those can be forged", () => {
    const { client, give } = begun();
    give(encodeUtack(FrameType.HELLO, 0));
    expect(client.counters.dropped("unmatched-utack")).toBe(0);
    expect(resends(client, 9_999)).toEqual([500, 1_500, 3_500, 5_500, 7_500, 9_500].map((ms) => [ms, "HELLO"]));
    expect(client.counters.retransmissions).toBe(6);
  });

  it("after HELLO_RETRY sends HELLO with the cookie, and each third time the bare one, for a fresh cookie", () => {
    const { client, give } = begun();
    give(helloRetry());
    datagramsFrom(client);
    const lengths: number[] = [];
    for (let i = 0; i < 5; i++) {
      client.handleTimeout(client.pollTimeout() as ReturnType<typeof after>);
      lengths.push(...sent(client).frames.map((frame) => payloadOfBytes(frame).length));
    }
    expect(lengths).toEqual([54, 38, 54, 54, 38]);
  });

  it("after CHALLENGE sends HELLO_ACK again, and every second time a HELLO, which recalls a lost SESSION_OK", () => {
    const { client } = answered();
    expect(resends(client, 6_000).map(([, what]) => what)).toEqual([
      "HELLO_ACK",
      "HELLO",
      "HELLO_ACK",
      "HELLO_ACK",
      "HELLO",
      "HELLO_ACK",
    ]);
  });

  it("ends after 10 s in all, and says what was waited for", () => {
    for (const [subject, awaiting] of [
      [begun(), "HELLO_RETRY"],
      [answered(), "SESSION_OK"],
    ] as const) {
      resends(subject.client, 9_999);
      expect(subject.client.state).toBe("handshaking");
      subject.client.handleTimeout(after(10_000));
      expect(closeReason(subject.client)).toEqual({ code: "handshake-timeout", awaiting });
    }
    const { client, give } = begun();
    give(helloRetry());
    client.handleTimeout(after(10_000));
    expect(closeReason(client)).toEqual({ code: "handshake-timeout", awaiting: "CHALLENGE" });
  });

  it("can be closed, and then says nothing to the server", () => {
    const { client } = begun();
    client.close(START);
    expect(closeReason(client)).toEqual({ code: "closed-locally" });
    expect(datagramsFrom(client)).toEqual([]);
  });
});

describe("a stranger who injects into a datagram client's handshake", () => {
  it("does not stop it with a CHALLENGE that comes first (F17): up to four are answered", () => {
    const { client, hello, give, server } = begun();
    for (let i = 0; i < 3; i++) give(new RawServer().challenge(hello));
    expect(sent(client).frames.map(typeOf)).toEqual(["HELLO_ACK", "HELLO_ACK", "HELLO_ACK"]);
    give(server.challenge(hello));
    give(server.sessionOk());
    expect(client.state).toBe("established");
  });

  it("gets no fifth CHALLENGE answered", () => {
    const { client, hello, give } = begun();
    for (let i = 0; i < 5; i++) give(new RawServer().challenge(hello));
    expect(sent(client).frames).toHaveLength(4);
    expect(client.counters.dropped("too-many-challenges")).toBe(1);
  });

  it("does not stop it with a HELLO_RETRY that comes first, nor with any number of them after", () => {
    const { client, hello, give, server } = begun();
    for (let i = 0; i < 20; i++) give(helloRetry(filled(16, i)));
    // Eight different cookies are tried; what comes after them is acknowledged and no more.
    const { frames, utacks } = sent(client);
    expect(frames).toHaveLength(8);
    expect(utacks).toHaveLength(20);
    give(server.challenge(hello));
    give(server.sessionOk());
    expect(client.state).toBe("established");
  });

  it("does not make it send the same cookie twice at once", () => {
    const { client, give } = begun();
    give(helloRetry());
    give(helloRetry());
    expect(sentTypes(client)).toEqual(["UTACK of HELLO_RETRY", "HELLO", "UTACK of HELLO_RETRY"]);
  });

  it("does not stop it with a wrong SESSION_OK: it is dropped and counted, and the true one still completes", () => {
    const { client, give, server } = answered();
    for (let i = 0; i < 7; i++) give(server.sessionOk(otherTestPsk()));
    expect(client.state).toBe("handshaking");
    expect(client.counters.dropped("bad-proof")).toBe(7);
    give(server.sessionOk());
    expect(client.state).toBe("established");
  });

  it("gets eight wrong proofs checked at once, then one each 250 ms; the true one still completes", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const { client, give, server } = answered({ client: { crypto: provider } });
    const wrong = server.sessionOk(otherTestPsk());
    reset();
    for (let i = 0; i < 100; i++) give(wrong, 10);
    expect(calls).toMatchObject({ hmacSha256: 8, deriveTrafficKeys: 0 });
    expect(client.counters.dropped("bad-proof")).toBe(8);
    expect(client.counters.dropped("proof-budget")).toBe(92);
    give(wrong, 260);
    expect(calls.hmacSha256).toBe(9);
    give(server.sessionOk(), 500);
    expect(client.state).toBe("handshaking");
    give(server.sessionOk(), 510);
    expect(client.state).toBe("established");
  });

  it("gets no SESSION_OK looked at before there was a CHALLENGE", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const { client, give, server, hello } = begun({ client: { crypto: provider } });
    server.challenge(hello);
    reset();
    give(server.sessionOk());
    expect(calls.hmacSha256).toBe(0);
    expect(client.counters.dropped("unexpected-type")).toBe(1);
  });

  it.each<[FrameTypeName, number]>([
    ["HELLO_RETRY", 15],
    ["HELLO_RETRY", 17],
    ["CHALLENGE", 63],
    ["SESSION_OK", 49],
  ])("gets no byte for a %s of %i bytes", (type, length) => {
    const { client, give } = answered();
    give(encodeFrame(FrameType[type], 0, randomBytes(length)));
    expect(datagramsFrom(client)).toEqual([]);
    expect(client.counters.dropped("bad-length")).toBe(1);
  });

  it("makes no crypto call with 1,000,000 datagrams of a bad CRC", () => {
    const { provider, total, reset } = countingCrypto(defaultCrypto());
    const { client, server, hello, give } = begun({ client: { crypto: provider } });
    const bad = server.challenge(hello);
    bad[40] = (bad[40] as number) ^ 1;
    reset();
    for (let i = 0; i < 1_000_000; i++) give(bad);
    expect(total()).toBe(0);
    expect(client.counters.dropped("bad-crc")).toBe(1_000_000);
    expect(datagramsFrom(client)).toEqual([]);
  });
});

describe("a datagram client in its session", () => {
  it("acknowledges late copies of the handshake, whose UTACKs were lost", () => {
    const { client, give, server, hello } = answered();
    give(server.sessionOk());
    datagramsFrom(client);
    give(server.sessionOk());
    give(server.challenge(hello));
    give(helloRetry());
    expect(sentTypes(client)).toEqual(["UTACK of SESSION_OK", "UTACK of CHALLENGE", "UTACK of HELLO_RETRY"]);
    expect(client.counters.dropped("bad-proof")).toBe(0);
  });

  it("has no use for plaintext UTACKs any more", () => {
    const { machine, give } = establishedDatagramClient();
    give(encodeUtack(FrameType.HELLO_ACK, 2), START);
    expect(machine.counters.dropped("unmatched-utack")).toBe(1);
  });

  it("stays with its server whatever address an authentic frame comes from", () => {
    const { machine, raw, give } = establishedDatagramClient();
    give(raw.seal("DATA", 0), START, { key: "elsewhere" });
    expect(machine.address).toBe(SERVER_ADDRESS);
  });
});

describe("each single bit of CHALLENGE and SESSION_OK that is flipped on the way, CRC made good again,", () => {
  it("is refused, and the frame as it was sent still completes the handshake", () => {
    const { client, give, server, hello } = begun({
      client: { timing: { handshakeTimeoutMs: 1e9, keepaliveMs: 1, idleTimeoutMs: 2 } },
    });
    const challenge = server.challenge(hello);
    for (let bit = 0; bit < 64 * 8; bit++) {
      const other = begun();
      const theirs = other.server.challenge(other.hello);
      other.give(tampered(theirs, 12 + (bit >>> 3), 1 << (bit & 7)));
      other.give(other.server.sessionOk());
      if (other.client.state !== "handshaking") expect.fail(`CHALLENGE with bit ${bit} flipped was accepted`);
      if (bit % 64 !== 0) continue;
      other.give(theirs);
      other.give(other.server.sessionOk());
      expect(other.client.state).toBe("established");
    }
    give(challenge);
    for (let bit = 0; bit < 48 * 8; bit++) {
      give(tampered(server.sessionOk(), 12 + (bit >>> 3), 1 << (bit & 7)), bit * 250);
      if (client.state !== "handshaking") expect.fail(`SESSION_OK with bit ${bit} flipped was accepted`);
    }
    expect(client.counters.dropped("bad-proof")).toBe(48 * 8);
    give(server.sessionOk(), 48 * 8 * 250);
    expect(client.state).toBe("established");
  });
});

it("a datagram client's keys are all wiped when it closes, in the handshake and after", () => {
  for (const close of ["handshaking", "established"] as const) {
    const ledger = wipeLedger(defaultCrypto());
    const { client, give, server } = answered({ client: { crypto: ledger.provider } });
    if (close === "established") give(server.sessionOk());
    expect(ledger.alive).toHaveLength(1);
    client.abort();
    expect(ledger.alive).toEqual([]);
  }
});
