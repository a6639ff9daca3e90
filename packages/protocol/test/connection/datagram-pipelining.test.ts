import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { LAST_SEQ } from "../../src/constants.ts";
import type { RecordKey } from "../../src/crypto/provider.ts";
import { markedSeq } from "../../src/record/order-marks.ts";
import { looksLikeUtack } from "../../src/wire/utack.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import { acknowledgeAll, establishedDatagram, sent } from "../support/datagrams.ts";
import { failingSeal } from "../support/failing-seal.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { seqOf, typeOf } from "../support/raw-peer.ts";
import { textsFrom } from "../support/streams.ts";

const isData = (data: Uint8Array): boolean => !looksLikeUtack(data) && typeOf(data).startsWith("DATA");
const texts = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

/** Both ends have said that they keep an order, and nothing is on its way. */
function pipelinedPair(overrides = {}): DatagramPair {
  const pair = new DatagramPair(overrides).establish();
  for (const text of texts(60)) pair.client.send(ascii(text), pair.now);
  pair.advance(10_000);
  expect(pair.takeMessages().server).toEqual(texts(60));
  return pair;
}

describe("many messages between two ends of ours", () => {
  it("have several frames in flight, in order at the receiver", () => {
    const pair = pipelinedPair();
    for (const text of texts(50)) pair.client.send(ascii(text), pair.now);
    const burst = sent(pair.client).frames;
    expect(burst.length).toBeGreaterThan(8);
    expect(burst.length).toBeLessThanOrEqual(32);
    expect(burst.map(seqOf)).toEqual(burst.map((_, i) => seqOf(burst[0] as Uint8Array) + i));
  });

  it("go one by one until both have said so: a few messages never make an offer", () => {
    const pair = new DatagramPair().establish();
    for (const text of texts(16)) pair.client.send(ascii(text), pair.now);
    pair.advance(10_000);
    pair.client.send(ascii("x"), pair.now);
    pair.client.send(ascii("y"), pair.now);
    expect(sent(pair.client).frames).toHaveLength(1);
  });

  it("may be in flight both ways once each has answered the other", () => {
    const pair = pipelinedPair();
    for (const text of texts(50)) pair.server.send(ascii(text), pair.now);
    expect(sent(pair.server).frames.length).toBeGreaterThan(1);
  });

  it("arrive once and in order when any one frame of a burst is lost, and count as sent only then", () => {
    for (let lost = 0; lost < 24; lost++) {
      const pair = pipelinedPair();
      let index = 0;
      pair.network = (from, data) => (from === "client" && isData(data) && index++ === lost ? 0 : 1);
      for (const text of texts(24)) pair.client.send(ascii(text), pair.now);
      pair.pump();
      const early = pair.takeEvents();
      const acknowledged = early.client.filter(({ type }) => type === "acknowledged").length;
      const delivered = early.server.filter(({ type }) => type === "message").length;
      expect(acknowledged).toBeLessThanOrEqual(delivered);
      pair.advance(5_000);
      const late = pair.takeEvents();
      const data = [...early.server, ...late.server].flatMap((event) => (event.type === "message" ? [event.data] : []));
      expect(data).toEqual(texts(24).map(ascii));
    }
  });

  it("have a lost frame sent again as soon as three later ones have arrived", () => {
    const pair = pipelinedPair();
    let index = 0;
    pair.network = (from, data) => (from === "client" && isData(data) && index++ === 0 ? 0 : 1);
    const before = pair.now;
    for (const text of texts(10)) pair.client.send(ascii(text), pair.now);
    pair.pump();
    expect(pair.takeMessages().server).toEqual(texts(10));
    expect(pair.now).toBe(before);
  });

  it("wait as long as a PING between them is lost, which fills a number too", () => {
    const pair = pipelinedPair();
    let pings = 0;
    pair.network = (_, data) => (!looksLikeUtack(data) && typeOf(data) === "PING" && pings++ === 0 ? 0 : 1);
    pair.client.ping(pair.now);
    pair.client.send(ascii("behind the PING"), pair.now);
    pair.pump();
    const { client, server } = pair.takeEvents();
    expect(server.filter(({ type }) => type === "message")).toEqual([]);
    expect(client.filter(({ type }) => type === "acknowledged")).toEqual([]);
    pair.advance(5_000);
    expect(pair.takeMessages().server).toEqual(["behind the PING"]);
  });

  it("of more than one frame leave whole", () => {
    const pair = pipelinedPair();
    for (let i = 0; i < 4; i++) pair.client.send(filled(1_808, i), pair.now);
    const burst = sent(pair.client).frames.map(typeOf);
    expect(burst.slice(0, 4)).toEqual(["DATA_FRAG", "DATA_FRAG", "DATA_FRAG", "DATA"]);
    expect(burst.length % 4).toBe(0);
  });

  it("fall back to one frame at a time when nothing arrives, and recover", () => {
    const pair = pipelinedPair();
    pair.network = () => 0;
    for (const text of texts(40)) pair.client.send(ascii(text), pair.now);
    pair.advance(8_000);
    let copies = 0;
    pair.network = (from, data) => (from === "client" && isData(data) ? 0 * copies++ : 0);
    pair.advance(10_000);
    expect(copies).toBeLessThanOrEqual(3);
    pair.network = () => 1;
    pair.advance(10_000);
    expect(pair.takeMessages().server).toEqual(texts(40));
  });

  it("are all unknown at the end when they were on their way, also those that arrived behind a gap", () => {
    const pair = pipelinedPair();
    let index = 0;
    pair.network = (from, data) => (from === "client" && isData(data) && index++ === 0 ? 0 : 1);
    for (const text of texts(3)) pair.client.send(ascii(text), pair.now);
    pair.pump();
    pair.client.abort();
    expect(pair.takeEvents().client.at(-1)).toMatchObject({ undelivered: { unknown: [60, 61, 62], unsent: [] } });
  });

  it("go on in the next epoch after a rekey, where both say it again", () => {
    const pair = pipelinedPair();
    pair.client.rekey(pair.now);
    pair.advance(5_000);
    pair.takeEvents();
    for (const text of texts(100)) pair.client.send(ascii(text), pair.now);
    pair.advance(5_000);
    expect(pair.takeMessages().server).toEqual(texts(100));
    for (const text of texts(20)) pair.client.send(ascii(text), pair.now);
    expect(sent(pair.client).frames.length).toBeGreaterThan(1);
  });

  it("end with BYE behind the last of them", () => {
    const pair = pipelinedPair();
    for (const text of texts(100)) pair.client.send(ascii(text), pair.now);
    pair.client.close(pair.now);
    pair.advance(1_000);
    expect(pair.takeMessages().server).toEqual(texts(100));
    expect([pair.client.state, pair.server.state]).toEqual(["closed", "closed"]);
  });
});

describe.each(ROLES)("a datagram %s", (role) => {
  it("stays with one frame at a time towards a peer that never answers its offer", () => {
    const subject = establishedDatagram(role);
    for (const text of texts(100)) subject.machine.send(ascii(text), START);
    const opened = acknowledgeAll(subject, after(5));
    expect(
      opened.filter(({ type }) => type === "DATA").map(({ plaintext }) => Buffer.from(plaintext).toString()),
    ).toEqual(texts(100));
    expect(opened.filter(({ type }) => type === "PING")).toHaveLength(1);
    const jumps = opened.slice(1).filter(({ seq }, i) => seq !== (opened[i]?.seq as number) + 1);
    expect(jumps.map(({ type }) => type)).toEqual(["PING"]);
  });

  it("makes no offer where the numbers near their end, and no jump", () => {
    const subject = establishedDatagram(role, { firstSeq: LAST_SEQ - 100_000 });
    for (const text of texts(40)) subject.machine.send(ascii(text), START);
    const seqs = acknowledgeAll(subject, after(5)).map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, i) => LAST_SEQ - 100_000 + i));
  });

  it("ends the session when a number of an order that it has promised is lost to a failing cipher", () => {
    const { provider, failNext } = failingSeal(defaultCrypto());
    const pair = pipelinedPair({ client: { crypto: provider }, server: { crypto: provider } });
    const machine = role === "client" ? pair.client : pair.server;
    failNext();
    expect(() => machine.send(ascii("x"), pair.now)).toThrow("the cipher failed");
    machine.ping(pair.now);
    expect(machine.state).toBe("closing");
    pair.advance(1_000);
    expect(pair.takeEvents()[role].at(-1)).toMatchObject({
      reason: { code: "sequence-exhausted" },
      undelivered: { unknown: [role === "client" ? 60 : 0], unsent: [] },
    });
  });

  it("puts what its peer sends into order after an offer, and drops what is out of its reach", () => {
    const { machine, raw, give } = establishedDatagram(role);
    give(raw.seal("DATA", 0, ascii("before")), START);
    const offer = markedSeq("offer", 1, raw.epochs[0]?.transmit as RecordKey) as number;
    give(raw.seal("PING", offer), START);
    for (const [ahead, text] of [
      [2, "second"],
      [66, "too far"],
      [1, "first"],
      [-1, "before the offer"],
    ] as const) {
      give(raw.seal("DATA", offer + ahead, ascii(text)), START);
    }
    expect(textsFrom(machine)).toEqual(["before", "first", "second"]);
    expect(machine.counters.dropped("out-of-reach")).toBe(2);
  });

  it("takes a jump at the start of an epoch for nothing", () => {
    const { machine, raw, give } = establishedDatagram(role);
    give(raw.seal("PING", markedSeq("offer", 0, raw.epochs[0]?.transmit as RecordKey) as number), START);
    for (const text of texts(2)) machine.send(ascii(text), START);
    const answer = sent(machine).frames.map(typeOf);
    expect(answer).toEqual(["PONG", "DATA"]);
  });
});
