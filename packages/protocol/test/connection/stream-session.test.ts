import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { StreamServer } from "../../src/connection/stream-server.ts";
import { LAST_SEQ } from "../../src/constants.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { failingSeal } from "../support/failing-seal.ts";
import { after, filled, START, serverConfig } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { FRAME_TYPES, sampleFrame } from "../support/outcomes.ts";
import { RawClient, type RawSession, seqOf, tampered, typeOf } from "../support/raw-peer.ts";
import {
  closeReason,
  establishedStream,
  establishedStreamClient,
  establishedStreamServer,
  eventsFrom,
  framesFrom,
  onlyFrame,
  StreamPair,
} from "../support/streams.ts";

const SESSION = "session";
const violation = (name: string) => ({ code: "protocol-violation", violation: name, during: SESSION });

describe("messages over a stream", () => {
  it.each([0, 1, 451, 452, 453, 904, 1356, 1357, 1808])("of %i bytes arrive whole, both ways", (length) => {
    const pair = new StreamPair();
    const message = Uint8Array.from({ length }, (_, i) => i & 0xff);
    for (const [from, to] of [
      [pair.client, pair.server],
      [pair.server, pair.client],
    ] as const) {
      eventsFrom(to);
      from.send(message, START);
      pair.pump(START);
      expect(eventsFrom(to)).toContainEqual({ type: "message", data: message });
    }
  });

  it("of 1,809 bytes are refused to the caller, and nothing is sent", () => {
    const { machine } = establishedStream("client");
    expect(() => machine.send(filled(1809, 0), START)).toThrow(expect.objectContaining({ code: "message-too-long" }));
    expect(machine.hasTransmit).toBe(false);
    expect(machine.counters.messagesSent).toBe(0);
  });

  it("leave with ids in order, and frames that are ready together in one piece", () => {
    const { machine, raw } = establishedStream("server");
    expect([machine.send(ascii("a"), START), machine.send(ascii("b"), START)]).toEqual([0, 1]);
    expect(machine.hasTransmit).toBe(true);
    const frames = framesFrom(machine);
    expect(frames.map((frame) => raw.open(frame))).toEqual([
      { type: "DATA", seq: 0, plaintext: ascii("a") },
      { type: "DATA", seq: 1, plaintext: ascii("b") },
    ]);
    expect(machine.counters).toMatchObject({ messagesSent: 2 });
  });

  it("that came with an end behind them are delivered before it", () => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(concatBytes(raw.seal("DATA", 0, ascii("last")), raw.seal("BYE", 1), filled(5, 0)), START);
    expect(eventsFrom(machine)).toEqual([
      { type: "message", data: ascii("last") },
      { type: "closed", reason: { code: "closed-by-peer" }, undelivered: { unknown: [], unsent: [] } },
    ]);
  });

  it("need an established connection", () => {
    const { machine } = establishedStream("client");
    machine.abort();
    for (const call of [() => machine.send(ascii("x"), START), () => machine.ping(START), () => machine.rekey(START)]) {
      expect(call).toThrow(expect.objectContaining({ code: "not-established" }));
      expect(call).toThrow(/is closed; it must be established/);
    }
  });
});

describe("a session over a stream closes with a reason for", () => {
  const cases: readonly [string, (raw: RawSession) => Uint8Array, string][] = [
    ["a frame that comes again", (raw) => concatBytes(raw.seal("DATA", 0), raw.seal("DATA", 0)), "unexpected-sequence"],
    ["a gap", (raw) => raw.seal("DATA", 1), "unexpected-sequence"],
    ["a wrong tag", (raw) => tampered(raw.seal("DATA", 0, ascii("x")), 40), "bad-tag"],
    ["a type that was changed on the way", (raw) => tampered(raw.seal("PING", 0), 3, 0x01), "bad-tag"],
    ["a clear nonce of another seq", (raw) => tampered(raw.seal("DATA", 0), 12), "bad-nonce"],
    ["a clear nonce of another session", (raw) => tampered(raw.seal("DATA", 0), 23), "bad-nonce"],
    ["a sealed frame that is too short", () => encodeFrame(FrameType.DATA, 0, filled(27, 0)), "bad-length"],
    ["a handshake frame", () => encodeFrame(FrameType.HELLO, 0, filled(38, 0)), "unexpected-type"],
    ["a PING with contents", (raw) => raw.seal("PING", 0, ascii("x")), "bad-length"],
    ["a BYE with contents", (raw) => raw.seal("BYE", 0, ascii("x")), "bad-length"],
    ["a REKEY of 31 bytes", (raw) => raw.seal("REKEY", 0, filled(31, 0)), "bad-length"],
    ["a REKEY of 33 bytes", (raw) => raw.seal("REKEY", 0, filled(33, 0)), "bad-length"],
    ["lost frame boundaries", () => filled(12, 0), "bad-magic"],
    [
      "a fourth DATA_FRAG",
      (raw) => concatBytes(...[0, 1, 2, 3].map((seq) => raw.seal("DATA_FRAG", seq, ascii("x")))),
      "too-many-fragments",
    ],
    [
      "a PING between fragments",
      (raw) => concatBytes(raw.seal("DATA_FRAG", 0, ascii("x")), raw.seal("PING", 1)),
      "broken-fragments",
    ],
    [
      "a REKEY between fragments",
      (raw) => concatBytes(raw.seal("DATA_FRAG", 0, ascii("x")), raw.seal("REKEY", 1, filled(32, 0))),
      "broken-fragments",
    ],
  ];

  it.each(cases)("%s", (_, bytes, name) => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(bytes(raw), START);
    expect(closeReason(machine)).toEqual(violation(name));
  });

  it("its own frames reflected to it", () => {
    const { machine } = establishedStream("server");
    machine.send(ascii("mine"), START);
    machine.handleBytes(onlyFrame(framesFrom(machine)), START);
    expect(closeReason(machine)).toEqual(violation("bad-tag"));
  });

  it("nothing half-assembled: a message whose end is missing is not delivered", () => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(raw.seal("DATA_FRAG", 0, ascii("half")), START);
    machine.handleEnd();
    expect(eventsFrom(machine)).toEqual([
      {
        type: "closed",
        reason: { code: "transport-ended", during: SESSION },
        undelivered: { unknown: [], unsent: [] },
      },
    ]);
  });

  it("nothing more: bytes behind a violation and calls after the end have no effect", () => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(concatBytes(filled(12, 0), raw.seal("DATA", 0)), START);
    eventsFrom(machine);
    machine.handleBytes(raw.seal("DATA", 0), START);
    machine.handleEnd();
    machine.close(START);
    machine.abort();
    machine.handleTimeout(after(1_000_000));
    expect(machine.pollEvent()).toBeUndefined();
    expect(machine.hasTransmit).toBe(false);
  });
});

describe("fragments over a stream", () => {
  it("of any length are joined, zero-length ones included", () => {
    const { machine, raw } = establishedStream("server");
    for (const [seq, part] of ["", "ab", ""].entries())
      machine.handleBytes(raw.seal("DATA_FRAG", seq, ascii(part)), START);
    machine.handleBytes(raw.seal("DATA", 3, ascii("")), START);
    expect(eventsFrom(machine)).toContainEqual({ type: "message", data: ascii("ab") });
  });
});

describe("PING and PONG over a stream", () => {
  it("a PING is answered at once, whatever the application does", () => {
    const { machine, raw } = establishedStream("client");
    machine.pauseReceiving();
    machine.handleBytes(raw.seal("PING", 0), START);
    expect(raw.open(onlyFrame(framesFrom(machine))).type).toBe("PONG");
  });

  it("a ninth control frame in one second ends the session", () => {
    const { machine, raw } = establishedStream("server");
    for (let seq = 0; seq < 8; seq++) machine.handleBytes(raw.seal(seq % 2 ? "PONG" : "PING", seq), after(seq * 125));
    expect(machine.state).toBe("established");
    machine.handleBytes(raw.seal("PING", 8), after(1_000));
    expect(closeReason(machine)).toEqual(violation("control-flood"));
  });

  it("eight in each of many seconds do not", () => {
    const { machine, raw } = establishedStream("server");
    for (let seq = 0; seq < 80; seq++) {
      machine.handleBytes(raw.seal("PONG", seq), after(Math.floor(seq / 8) * 1_001));
    }
    expect(machine.state).toBe("established");
  });

  it("a PONG that answers nothing has no effect", () => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(raw.seal("PONG", 0), START);
    expect(eventsFrom(machine)).toEqual([]);
  });

  it("a round trip is that of the PING that was answered", () => {
    const { machine, raw } = establishedStream("client");
    machine.ping(START);
    expect(raw.open(onlyFrame(framesFrom(machine))).type).toBe("PING");
    machine.handleBytes(raw.seal("PONG", 0), after(37));
    expect(eventsFrom(machine)).toEqual([{ type: "pong", roundTripMs: 37 }]);
    expect(machine.roundTripMs).toBeUndefined();
  });
});

describe("a seq is spent before its frame is written (P5)", () => {
  it("and never used again when sealing fails; nothing of the plaintext leaves", () => {
    const { provider, seqs, failNext } = failingSeal(defaultCrypto());
    const { machine } = establishedStream("client", { client: { crypto: provider } });
    machine.send(ascii("first"), START);
    failNext();
    expect(() => machine.send(ascii("SECRETS"), START)).toThrow("the cipher failed");
    machine.send(ascii("third"), START);
    machine.ping(START);
    expect(seqs).toEqual([0, 1, 2, 3]);
    const sent = Buffer.concat(drained(machine)).toString("latin1");
    expect(sent).not.toContain("SECRETS");
  });

  it("and counts without a gap while nothing fails", () => {
    const { machine, raw } = establishedStream("client");
    machine.send(filled(1808, 0), START);
    machine.ping(START);
    machine.handleBytes(raw.seal("PING", 0), START);
    machine.close(START);
    const frames = framesFrom(machine);
    expect(frames.map(seqOf)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(frames.map(typeOf).slice(4)).toEqual(["PING", "PONG", "BYE"]);
  });
});

describe("the end of the sequence numbers over a stream", () => {
  it("ends the session with BYE before they run out", () => {
    const { machine, raw } = establishedStream("client", { firstSeq: LAST_SEQ - 18 });
    machine.send(ascii("x"), START);
    expect(machine.state).toBe("established");
    machine.send(ascii("y"), START);
    expect(framesFrom(machine).map((frame) => raw.open(frame))).toMatchObject([
      { type: "DATA", seq: LAST_SEQ - 18 },
      { type: "DATA", seq: LAST_SEQ - 17 },
      { type: "BYE", seq: LAST_SEQ - 16 },
    ]);
    expect(closeReason(machine)).toEqual({ code: "sequence-exhausted" });
  });

  it("ends it for our own PONGs as well", () => {
    const { machine, raw } = establishedStream("server", { firstSeq: LAST_SEQ - 17 });
    machine.handleBytes(raw.seal("PING", LAST_SEQ - 17), START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG", "BYE"]);
    expect(closeReason(machine)).toEqual({ code: "sequence-exhausted" });
  });

  it.each(["DATA", "DATA_FRAG", "PING", "PONG", "REKEY"] as const)(
    "refuses an authentic %s on the last of them",
    (type) => {
      const { machine, raw } = establishedStream("client", { firstSeq: LAST_SEQ });
      machine.handleBytes(raw.seal(type, LAST_SEQ, filled(type === "REKEY" ? 32 : 0, 1)), START);
      expect(eventsFrom(machine)).toMatchObject([{ type: "closed", reason: violation("sequence-exhausted") }]);
    },
  );

  it("takes an authentic BYE on the last", () => {
    const { machine, raw } = establishedStream("client", { firstSeq: LAST_SEQ });
    machine.handleBytes(raw.seal("BYE", LAST_SEQ), START);
    expect(closeReason(machine)).toEqual({ code: "closed-by-peer" });
  });

  it("is not brought about by a forged frame: unauthenticated, it is only a violation", () => {
    const { machine, raw } = establishedStream("client");
    machine.handleBytes(tampered(raw.seal("BYE", LAST_SEQ), 30), START);
    expect(closeReason(machine)).toEqual(violation("unexpected-sequence"));
  });
});

describe("the CRC is checked before any cryptography", () => {
  it("no crypto call is made for 1,000,000 handshakes that begin with a bad CRC", () => {
    const { provider, total } = countingCrypto(defaultCrypto());
    const config = serverConfig({ crypto: provider });
    const options = { slab: new FrameSlab() };
    const hello = new RawClient().hello();
    let closed = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const offset = 12 + (i % 38);
      const whole = hello[offset] as number;
      hello[offset] = whole ^ (1 + (i % 255));
      const machine = new StreamServer(config, options, START);
      machine.handleBytes(hello, START);
      if (machine.state === "closed") closed++;
      hello[offset] = whole;
    }
    expect(closed).toBe(1_000_000);
    expect(total()).toBe(0);
  });

  it.each(FRAME_TYPES)("no crypto call is made in a session for a %s with a bad CRC", (type) => {
    const { provider, total, reset } = countingCrypto(defaultCrypto());
    const { machine, raw } = establishedStreamServer({ server: { crypto: provider } });
    const bad = sampleFrame(type, raw);
    bad[10] = (bad[10] as number) ^ 1;
    reset();
    machine.handleBytes(bad, START);
    expect(closeReason(machine)).toEqual(violation("bad-crc"));
    expect(total()).toBe(0);
  });
});

describe("close() over a stream", () => {
  it("says BYE behind what was sent, and ends", () => {
    const { machine, raw } = establishedStreamClient();
    machine.send(ascii("last words"), START);
    machine.close(START);
    machine.close(START);
    expect(framesFrom(machine).map((frame) => frame[3])).toEqual([FrameType.DATA, FrameType.BYE]);
    expect(raw.sessionId).toHaveLength(16);
    expect(eventsFrom(machine)).toEqual([
      { type: "closed", reason: { code: "closed-locally" }, undelivered: { unknown: [], unsent: [] } },
    ]);
  });
});

function drained(machine: { pollTransmit(): Uint8Array | undefined }): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let piece = machine.pollTransmit(); piece !== undefined; piece = machine.pollTransmit()) pieces.push(piece);
  return pieces;
}
