import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { datagramsFrom, establishedDatagram, sent } from "../support/datagrams.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { typeOf } from "../support/raw-peer.ts";
import { machineRekeys, onlySent, peerRekeys, trafficKeys } from "../support/rekeys.ts";
import { eventsFrom, textsFrom } from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

const SALT = filled(32, 0x55);

describe.each(ROLES)("a datagram %s that initiates a REKEY", (role) => {
  it("sends nothing new until it is acknowledged, then goes on with the next seq under the new keys (R5)", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    const rekey = machineRekeys(subject);
    machine.send(ascii("after"), START);
    expect(sent(machine).frames).toEqual([]);
    expect(machine.epoch).toBe(0);
    give(raw.utack(rekey, 0), after(5));
    expect(machine.epoch).toBe(1);
    expect(raw.open(onlySent(subject), 1)).toEqual({ type: "DATA", seq: 1, plaintext: ascii("after") });
    expect(eventsFrom(machine)).toContainEqual({ type: "rekeyed", by: "us", epoch: 1 });
  });

  it("takes any frame under the new keys for the acknowledgement (R3), and then its late UTACK for nothing", () => {
    const subject = establishedDatagram(role);
    const rekey = machineRekeys(subject);
    subject.give(subject.raw.seal("DATA", 0, ascii("new"), 1), START);
    expect(eventsFrom(subject.machine)).toContainEqual({ type: "rekeyed", by: "us", epoch: 1 });
    expect(sent(subject.machine).utacks).toEqual([subject.raw.expectedUtack("DATA", 0, 1)]);
    subject.give(subject.raw.utack(rekey, 0), START);
    expect(eventsFrom(subject.machine)).toEqual([]);
    expect(subject.machine.epoch).toBe(1);
  });

  it("takes the acknowledgement of its REKEY under the new key too: the field's peers have switched by then (F2)", () => {
    const subject = establishedDatagram(role);
    const rekey = machineRekeys(subject);
    subject.give(subject.raw.utack(rekey, 1), START);
    expect(subject.machine.epoch).toBe(1);
  });

  it("sends it again, the same bytes, until it is acknowledged; from the fourth time with a fresh PING beside it", () => {
    const subject = establishedDatagram(role);
    const rekey = machineRekeys(subject);
    const types: string[][] = [];
    for (const ms of [500, 1_500, 3_500, 7_500]) {
      subject.machine.handleTimeout(after(ms));
      const { frames } = sent(subject.machine);
      expect(frames[0]).toEqual(rekey);
      types.push(frames.map(typeOf));
    }
    expect(types).toEqual([["REKEY"], ["REKEY"], ["REKEY", "PING"], ["REKEY", "PING"]]);
  });

  it("loses nothing that was on its way to it under the old keys, in any order", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    const rekey = machineRekeys(subject);
    give(raw.utack(rekey, 0), START);
    give(raw.seal("DATA", 1, ascii("old 1"), 0), START);
    give(raw.seal("DATA", 0, ascii("new 0"), 1), START);
    give(raw.seal("DATA", 0, ascii("old 0"), 0), START);
    expect(textsFrom(machine)).toEqual(["old 1", "new 0", "old 0"]);
    expect(sent(machine).utacks).toEqual([
      raw.expectedUtack("DATA", 1, 0),
      raw.expectedUtack("DATA", 0, 1),
      raw.expectedUtack("DATA", 0, 0),
    ]);
  });

  it("forgets the old epoch a second after the peer has shown the new one and was quiet about the old (R1)", () => {
    const ledger = wipeLedger(defaultCrypto());
    const subject = establishedDatagram(role, {
      client: { crypto: ledger.provider },
      server: { crypto: ledger.provider },
    });
    const { machine, raw, give } = subject;
    give(raw.utack(machineRekeys(subject), 0), START);
    give(raw.seal("DATA", 0, ascii("new"), 1), START);
    give(raw.seal("DATA", 0, ascii("old"), 0), after(900));
    expect(machine.pollTimeout()).toBe(after(1_900));
    machine.handleTimeout(after(1_899));
    expect(trafficKeys(ledger.alive)).toHaveLength(2);
    machine.handleTimeout(after(1_900));
    expect(trafficKeys(ledger.alive)).toHaveLength(1);
    give(raw.seal("DATA", 1, ascii("too late"), 0), after(1_901));
    expect(textsFrom(machine)).toEqual(["new", "old"]);
    expect(machine.counters.dropped("bad-tag")).toBe(1);
  });

  it("waits until nothing of ours is on its way, and holds everything else back behind it", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    machine.send(filled(500, 1), START);
    const first = onlySent(subject);
    machine.rekey(START);
    machine.send(ascii("behind"), START);
    give(raw.utack(first), START);
    const second = onlySent(subject);
    expect([typeOf(first), typeOf(second)]).toEqual(["DATA_FRAG", "DATA"]);
    give(raw.utack(second), START);
    expect(typeOf(onlySent(subject))).toBe("REKEY");
  });

  it("does not hold the keepalive back while it waits: a peer that moved is followed for fresh frames alone", () => {
    const subject = establishedDatagram(role);
    const { machine } = subject;
    machine.send(ascii("unheard"), START);
    machine.rekey(START);
    datagramsFrom(machine);
    for (let next = machine.pollTimeout(); next !== undefined && next <= after(30_000); next = machine.pollTimeout()) {
      machine.handleTimeout(next);
    }
    expect(sent(machine).frames.map(typeOf)).toContain("PING");
  });

  it("paces its own to one a second, and waits for the peer to follow the last, which a PING brings about", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    give(raw.utack(machineRekeys(subject), 0), START);
    machine.rekey(after(1));
    const ping = onlySent(subject);
    expect(typeOf(ping)).toBe("PING");
    give(raw.utack(ping), after(2));
    give(raw.seal("PONG", 0), after(2));
    expect(sent(machine).frames).toEqual([]);
    expect(machine.pollTimeout()).toBe(after(1_000));
    machine.handleTimeout(after(1_000));
    expect(typeOf(onlySent(subject))).toBe("REKEY");
  });

  it("does not begin a second before the peer has followed the first, however long that takes", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    give(raw.utack(machineRekeys(subject), 0), START);
    machine.rekey(after(5_000));
    const ping = onlySent(subject);
    expect(typeOf(ping)).toBe("PING");
    give(raw.utack(ping), after(5_001));
    machine.handleTimeout(after(20_000));
    expect(sent(machine).frames).toEqual([]);
    give(raw.seal("PONG", 0), after(20_001));
    expect(typeOf(onlySent(subject))).toBe("REKEY");
  });
});

describe.each(ROLES)("a datagram %s whose peer initiates a REKEY", (role) => {
  it("acknowledges it under the key that it came under (R2)", () => {
    const subject = establishedDatagram(role);
    peerRekeys(subject, 0);
    expect(sent(subject.machine).utacks).toEqual([subject.raw.expectedUtack("REKEY", 0, 0)]);
  });

  it("withholds the UTACK until its own outstanding frame is through (R4)", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    machine.send(ascii("mine"), START);
    machine.send(ascii("next"), START);
    const mine = onlySent(subject);
    const rekey = peerRekeys(subject, 0);
    give(rekey, START);
    expect(datagramsFrom(machine)).toEqual([]);
    give(raw.utack(mine, 0), START);
    // "next" waits: the keys have not changed hands yet.
    expect(sent(machine)).toEqual({ frames: [], utacks: [raw.expectedUtack("REKEY", 0, 0)] });
  });

  it("then sends nothing until a frame under the new keys comes (R4), and then goes on under them", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    peerRekeys(subject, 0);
    machine.send(ascii("mine"), START);
    machine.ping(START);
    expect(sent(machine).frames).toEqual([]);
    give(raw.seal("DATA", 1, ascii("new")), after(10));
    const frames = sent(machine).frames.map((frame) => raw.open(frame, 1).type);
    expect(frames).toEqual(["PING", "DATA"]);
    expect(eventsFrom(machine)).toContainEqual({ type: "rekeyed", by: "peer", epoch: 1 });
  });

  it("or until the peer was quiet for two of its retransmission periods, twice as long after each copy (R4)", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    const rekey = peerRekeys(subject, 0);
    machine.send(ascii("mine"), START);
    datagramsFrom(machine);
    give(rekey, after(500));
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 0, 0)]);
    machine.handleTimeout(after(2_499));
    expect(sent(machine).frames).toEqual([]);
    machine.handleTimeout(after(2_500));
    expect(raw.open(onlySent(subject), 1)).toMatchObject({ type: "DATA", seq: 0 });
    expect(machine.epoch).toBe(1);
  });

  it("is not kept waiting longer than 10 s by a peer that repeats its REKEY for ever", () => {
    const subject = establishedDatagram(role);
    const rekey = peerRekeys(subject, 0);
    for (let i = 0; i < 20; i++) subject.give(rekey, START);
    expect(subject.machine.pollTimeout()).toBe(after(10_000));
  });

  it("learns one epoch however often the REKEY comes: it is idempotent", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    const rekey = peerRekeys(subject, 0);
    give(rekey, START);
    give(raw.seal("DATA", 1, ascii("new")), START);
    give(rekey, after(50_000));
    expect(textsFrom(machine)).toEqual(["new"]);
    expect(machine.epoch).toBe(1);
  });

  it("takes new frames from seq 0 as well as from the next, as the field's peers begin again", () => {
    const subject = establishedDatagram(role, { firstSeq: 100_000 });
    const { machine, raw, give } = subject;
    for (let seq = 100_000; seq < 100_100; seq++) give(raw.seal("DATA", seq), START);
    eventsFrom(machine);
    peerRekeys(subject, 100_100);
    for (let seq = 0; seq < 100; seq++) give(raw.seal("DATA", seq, ascii(`${seq}`)), START);
    expect(textsFrom(machine)).toHaveLength(100);
  });

  it("takes a hundred a second; the next are dropped unacknowledged and counted", () => {
    const subject = establishedDatagram(role);
    for (let i = 0; i < 100; i++) {
      peerRekeys(subject, 0, after(i * 10));
      subject.give(subject.raw.seal("DATA", 1), after(i * 10));
    }
    expect(subject.machine.epoch).toBe(100);
    datagramsFrom(subject.machine);
    subject.give(subject.raw.seal("REKEY", 2, SALT), after(1_000));
    expect(sent(subject.machine).utacks).toEqual([]);
    expect(subject.machine.counters.dropped("control-flood")).toBe(1);
  });

  it("acknowledges a REKEY under an epoch that was left behind, and begins nothing with it", () => {
    const subject = establishedDatagram(role);
    const { machine, raw, give } = subject;
    peerRekeys(subject, 0);
    give(raw.seal("DATA", 1, ascii("new")), START);
    datagramsFrom(machine);
    give(raw.seal("REKEY", 5, SALT, 0), START);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 5, 0)]);
    give(raw.seal("DATA", 2, ascii("still here"), 1), START);
    expect(textsFrom(machine)).toEqual(["new", "still here"]);
    expect(machine.epoch).toBe(1);
  });

  it("keeps at most four epochs readable, and wipes the oldest for a fifth", () => {
    const ledger = wipeLedger(defaultCrypto());
    const subject = establishedDatagram(role, {
      client: { crypto: ledger.provider },
      server: { crypto: ledger.provider },
    });
    for (let i = 0; i < 6; i++) {
      peerRekeys(subject, 0);
      subject.give(subject.raw.seal("DATA", 1), START);
      expect(trafficKeys(ledger.alive).length).toBe(Math.min(i + 2, 4));
    }
    subject.machine.abort();
    expect(ledger.alive).toEqual([]);
  });
});
