import { describe, expect, it } from "vitest";
import type { DropCause } from "../../src/connection/counters.ts";
import { LAST_SEQ } from "../../src/constants.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { acknowledgeAll, datagramsFrom, establishedDatagram, sent, sentTypes } from "../support/datagrams.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { type RawSession, tampered, typeOf } from "../support/raw-peer.ts";
import { eventsFrom, textsFrom } from "../support/streams.ts";

describe.each(ROLES)("a datagram %s that receives", (role) => {
  it("acknowledges a frame only after its tag verified", () => {
    const { machine, raw, give } = establishedDatagram(role);
    give(tampered(raw.seal("DATA", 0, ascii("x")), 30), START);
    expect(datagramsFrom(machine)).toEqual([]);
    give(raw.seal("DATA", 0, ascii("x")), START);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 0)]);
    expect(textsFrom(machine)).toEqual(["x"]);
  });

  it("delivers each frame once, and acknowledges a duplicate again: its UTACK may have been lost", () => {
    const { machine, raw, give } = establishedDatagram(role);
    const frame = raw.seal("DATA", 0, ascii("once"));
    for (let i = 0; i < 3; i++) give(frame, START);
    expect(textsFrom(machine)).toEqual(["once"]);
    expect(sent(machine).utacks).toHaveLength(3);
    expect(machine.counters.dropped("replayed")).toBe(2);
  });

  it.each([63, 64, 65, 2 ** 31, 2 ** 32 - 2])("at seq %i takes each of the window once and nothing older", (newest) => {
    const { machine, raw, give } = establishedDatagram(role);
    give(raw.seal("DATA", newest, ascii("newest")), START);
    const oldest = newest - 63;
    for (const seq of [oldest, oldest, newest - 1, newest, oldest - 1]) {
      if (seq >= 0) give(raw.seal("DATA", seq, ascii(`${seq - newest}`)), START);
    }
    expect(textsFrom(machine)).toEqual(["newest", "-63", "-1"]);
  });

  it("never waits for a missing number", () => {
    const { machine, raw, give } = establishedDatagram(role);
    for (const seq of [5, 9, 1_000]) give(raw.seal("DATA", seq, ascii(`${seq}`)), START);
    expect(textsFrom(machine)).toEqual(["5", "9", "1000"]);
  });

  it("whose application is behind acknowledges no DATA, so that the sender keeps it", () => {
    const { machine, raw, give } = establishedDatagram(role);
    const frame = raw.seal("DATA", 0, ascii("kept"));
    machine.pauseReceiving();
    give(frame, START);
    expect(datagramsFrom(machine)).toEqual([]);
    expect(machine.counters.dropped("receiver-full")).toBe(1);
    give(raw.seal("PING", 1), START);
    expect(sentTypes(machine)).toEqual(["UTACK of PING", "PONG"]);
    machine.resumeReceiving();
    give(frame, after(500));
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 0)]);
    expect(textsFrom(machine)).toEqual(["kept"]);
  });
});

describe("a datagram is dropped and counted, and the session goes on, for", () => {
  const cases: readonly [string, (raw: RawSession) => Uint8Array, DropCause][] = [
    ["a wrong tag", (raw) => tampered(raw.seal("DATA", 0, ascii("x")), 30), "bad-tag"],
    ["a type that was changed on the way", (raw) => tampered(raw.seal("DATA", 0), 3, 0x03), "bad-tag"],
    ["a clear nonce of another seq", (raw) => tampered(raw.seal("DATA", 0), 12), "bad-nonce"],
    ["a clear nonce of another session", (raw) => tampered(raw.seal("DATA", 0), 23), "bad-nonce"],
    ["a PING with contents", (raw) => raw.seal("PING", 0, ascii("x")), "bad-length"],
    ["a BYE with contents", (raw) => raw.seal("BYE", 0, ascii("x")), "bad-length"],
    ["a REKEY of 31 bytes", (raw) => raw.seal("REKEY", 0, filled(31, 0)), "bad-length"],
    ["a sealed frame that is too short", () => encodeFrame(FrameType.DATA, 0, filled(27, 0)), "bad-length"],
    ["two frames in one", (raw) => Buffer.concat([raw.seal("DATA", 0), raw.seal("DATA", 1)]), "trailing-bytes"],
    ["junk behind a frame", (raw) => Buffer.concat([raw.seal("DATA", 0), filled(1, 0)]), "trailing-bytes"],
    ["a frame cut short", (raw) => raw.seal("DATA", 0).subarray(0, 39), "truncated"],
    ["a bad CRC", (raw) => raw.seal("DATA", 0).fill(0, 10, 12), "bad-crc"],
    ["nothing at all", () => new Uint8Array(0), "truncated"],
    ["half a UTACK", () => filled(2, 0xac), "unmatched-utack"],
    ["a forged BYE on the last seq", (raw) => tampered(raw.seal("BYE", LAST_SEQ), 30), "bad-tag"],
  ];

  it.each(cases)("%s", (_, datagram, cause) => {
    const { machine, raw, give } = establishedDatagram("client");
    give(datagram(raw), START);
    expect(datagramsFrom(machine)).toEqual([]);
    expect([...machine.counters.drops]).toEqual([[cause, 1]]);
    give(raw.seal("DATA", 0, ascii("goes on")), START);
    expect(textsFrom(machine)).toEqual(["goes on"]);
  });

  it("its own frames reflected to it", () => {
    const { machine, give } = establishedDatagram("server");
    machine.send(ascii("mine"), START);
    give(sent(machine).frames[0] as Uint8Array, START);
    expect(machine.counters.dropped("bad-tag")).toBe(1);
    expect(eventsFrom(machine)).toEqual([]);
  });

  it.each(["DATA", "DATA_FRAG", "PING", "PONG", "REKEY"] as const)("an authentic %s on the last seq", (type) => {
    const { machine, raw, give } = establishedDatagram("client");
    give(raw.seal(type, LAST_SEQ, filled(type === "REKEY" ? 32 : 0, 1)), START);
    expect(datagramsFrom(machine)).toEqual([]);
    expect(machine.counters.dropped("sequence-exhausted")).toBe(1);
  });
});

describe("fragments over datagrams", () => {
  const give = (parts: readonly (readonly ["DATA" | "DATA_FRAG" | "PING" | "BYE", number, string])[]) => {
    const subject = establishedDatagram("client");
    for (const [type, seq, text] of parts) subject.give(subject.raw.seal(type, seq, ascii(text)), START);
    return { machine: subject.machine, counters: subject.machine.counters };
  };

  it("are joined, zero-length ones included", () => {
    const { machine } = give([
      ["DATA_FRAG", 0, ""],
      ["DATA_FRAG", 1, "ab"],
      ["DATA_FRAG", 2, ""],
      ["DATA", 3, ""],
    ]);
    expect(textsFrom(machine)).toEqual(["ab"]);
  });

  it("that break off at a gap are dropped, and the frame behind it begins a new message (F7)", () => {
    const { machine, counters } = give([
      ["DATA_FRAG", 0, "lost "],
      ["DATA_FRAG", 2, "whole "],
      ["DATA", 3, "message"],
    ]);
    expect(textsFrom(machine)).toEqual(["whole message"]);
    expect(counters.dropped("broken-fragments")).toBe(1);
  });

  it("with a PING on a number between them are dropped, the PING is answered, and what follows is a new message", () => {
    const { machine, counters } = give([
      ["DATA_FRAG", 0, "lost "],
      ["PING", 1, ""],
      ["DATA", 2, "tail"],
    ]);
    expect(textsFrom(machine)).toEqual(["tail"]);
    expect(sentTypes(machine)).toContain("PONG");
    expect(counters.dropped("broken-fragments")).toBe(1);
  });

  it("are joined although an older PING arrives between them: it does not stand in the message", () => {
    const { machine } = give([
      ["DATA_FRAG", 1, "one "],
      ["PING", 0, ""],
      ["DATA", 2, "message"],
    ]);
    expect(textsFrom(machine)).toEqual(["one message"]);
  });

  it("in five frames are refused whole, at no more than four frames of memory", () => {
    const { machine, counters } = give([
      ["DATA_FRAG", 0, "1"],
      ["DATA_FRAG", 1, "2"],
      ["DATA_FRAG", 2, "3"],
      ["DATA_FRAG", 3, "4"],
      ["DATA", 4, "5"],
      ["DATA", 5, "next"],
    ]);
    expect(textsFrom(machine)).toEqual(["next"]);
    expect(counters.dropped("too-many-fragments")).toBe(2);
  });

  it("without an end deliver nothing at BYE", () => {
    const { machine } = give([
      ["DATA_FRAG", 0, "half"],
      ["BYE", 1, ""],
    ]);
    expect(eventsFrom(machine).map(({ type }) => type)).toEqual(["closed"]);
  });

  it("of ours stand on consecutive numbers with nothing between, though a PING waits", () => {
    const subject = establishedDatagram("server");
    subject.machine.send(filled(1_000, 1), START);
    subject.machine.ping(START);
    subject.give(subject.raw.seal("PING", 0), START);
    expect(acknowledgeAll(subject, START).map(({ type, seq }) => [type, seq])).toEqual([
      ["DATA_FRAG", 0],
      ["DATA_FRAG", 1],
      ["DATA", 2],
      ["PING", 3],
      ["PONG", 4],
    ]);
  });
});

describe("PING and PONG over datagrams", () => {
  it("from a peer that acknowledges no PONG leave at most eight waiting, not one for each PING", () => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    for (let seq = 0; seq < 400; seq++) give(raw.seal("PING", seq), after(seq * 130));
    expect(sent(machine).frames.map(typeOf)).toEqual(["PONG"]);
    machine.handleTimeout(after(52_000));
    expect(acknowledgeAll(subject, after(52_000)).map(({ type }) => type)).toEqual(
      Array.from({ length: 9 }, () => "PONG"),
    );
  });

  it("more than eight in a second are dropped unacknowledged and counted; the session goes on", () => {
    const { machine, raw, give } = establishedDatagram("server");
    for (let seq = 0; seq < 1_000; seq++) give(raw.seal("PING", seq), after(seq));
    expect(sent(machine).utacks).toHaveLength(8);
    expect(machine.counters.dropped("control-flood")).toBe(992);
    give(raw.seal("DATA", 1_000, ascii("still here")), after(1_000));
    expect(textsFrom(machine)).toEqual(["still here"]);
  });

  it("pass a message that the peer has no room for", () => {
    const { machine, raw, give } = establishedDatagram("client");
    machine.send(ascii("declined"), START);
    datagramsFrom(machine);
    machine.ping(START);
    const [ping] = sent(machine).frames as [Uint8Array];
    expect(typeOf(ping)).toBe("PING");
    give(raw.utack(ping), after(10));
    give(raw.seal("PONG", 0), after(30));
    expect(eventsFrom(machine)).toEqual([{ type: "pong", roundTripMs: 30 }]);
  });
});
