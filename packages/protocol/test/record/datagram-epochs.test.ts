import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { DatagramPair } from "../support/datagram-pair.ts";
import { datagramsFrom, establishedDatagram, OTHER_ADDRESS, sent, sentTypes } from "../support/datagrams.ts";
import { after, filled, ROLES, randomBytes, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { machineRekeys, onlySent, peerRekeys, trafficKeys } from "../support/rekeys.ts";
import { eventsFrom, textsFrom } from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

const SALT = filled(32, 0x55);

describe("UTACKs under the right keys", () => {
  it("a frame of ours is not acknowledged under an older key than its own (R3)", () => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    give(raw.utack(machineRekeys(subject), 0), START);
    machine.send(ascii("x"), START);
    const frame = onlySent(subject);
    eventsFrom(machine);
    give(raw.utack(frame, 0), START);
    expect(eventsFrom(machine)).toEqual([]);
    give(raw.utack(frame, 1), START);
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
  });

  it("a frame of ours is acknowledged under a newer key than its own (R3)", () => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    machine.send(ascii("x"), START);
    const frame = onlySent(subject);
    peerRekeys(subject, 0);
    give(raw.utack(frame, 1), START);
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
  });

  it.each([
    { seq: 63, under: [0] },
    { seq: 64, under: [0, 1] },
  ])("a duplicate with seq $seq from before a rekey is acknowledged under epochs $under (R2)", ({ seq, under }) => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    const frame = raw.seal("DATA", seq, ascii("x"));
    give(frame, START);
    give(raw.utack(machineRekeys(subject), 0), START);
    datagramsFrom(machine);
    give(frame, START);
    expect(sent(machine).utacks).toEqual(under.map((epoch) => raw.expectedUtack("DATA", seq, epoch)));
  });
});

describe("an old epoch over datagrams", () => {
  it("stays readable while a frame of ours still waits under it", () => {
    const subject = establishedDatagram("server");
    const { machine, raw, give } = subject;
    machine.send(ascii("declined"), START);
    const waiting = onlySent(subject);
    peerRekeys(subject, 0);
    give(raw.seal("DATA", 1, ascii("new")), START);
    machine.handleTimeout(after(1_000));
    machine.handleTimeout(after(2_000));
    give(raw.utack(waiting, 0), after(2_001));
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
    datagramsFrom(machine);
    machine.handleTimeout(after(10_000));
    give(raw.seal("DATA", 5, ascii("too late"), 0), after(10_001));
    expect(textsFrom(machine)).toEqual([]);
  });

  it.each(ROLES)(
    "stays readable for a %s whose hold ended by the clock, until the peer shows the new one (R1)",
    (role) => {
      const subject = establishedDatagram(role);
      const { machine, raw, give } = subject;
      peerRekeys(subject, 1);
      give(raw.seal("DATA", 0, ascii("late"), 0), after(10));
      for (const ms of [1_000, 2_000, 5_000, 20_000]) machine.handleTimeout(after(ms));
      expect(machine.epoch).toBe(1);
      give(raw.seal("DATA", 2, ascii("later still"), 0), after(20_001));
      expect(textsFrom(machine)).toEqual(["late", "later still"]);
    },
  );

  it("does not move the session back: a late frame under it comes from where the peer was", () => {
    const subject = establishedDatagram("server");
    const { machine, raw, give } = subject;
    peerRekeys(subject, 0);
    give(raw.seal("DATA", 0, ascii("new")), START, OTHER_ADDRESS);
    expect(machine.address).toBe(OTHER_ADDRESS);
    give(raw.seal("DATA", 900, ascii("old"), 0), START);
    expect(machine.address).toBe(OTHER_ADDRESS);
    expect(textsFrom(machine)).toEqual(["new", "old"]);
  });
});

describe("REKEYs of both sides at once over datagrams (R6)", () => {
  it("the server gives its own up and follows the client", () => {
    const subject = establishedDatagram("server");
    const { machine, raw, give } = subject;
    machine.rekey(START);
    datagramsFrom(machine);
    give(raw.seal("REKEY", 0, SALT), START);
    raw.rekey("us", SALT);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 0, 0)]);
    machine.handleTimeout(after(999));
    expect(sentTypes(machine)).toEqual([]);
    give(raw.seal("DATA", 1, ascii("new")), after(999));
    machine.send(ascii("under the client's"), after(999));
    expect(raw.open(onlySent(subject), 1).plaintext).toEqual(ascii("under the client's"));
  });

  it("the client acknowledges the server's, keeps what comes under it readable, and goes on with its own", () => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    const own = machineRekeys(subject);
    give(raw.seal("REKEY", 0, SALT, 0), START);
    const loser = raw.rekey("us", SALT, 0);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 0, 0)]);
    give(raw.seal("DATA", 1, ascii("under the loser"), loser), START);
    expect(textsFrom(machine)).toEqual(["under the loser"]);
    give(raw.utack(own, 0), START);
    datagramsFrom(machine);
    machine.send(ascii("mine"), START);
    expect(raw.open(onlySent(subject), 1).plaintext).toEqual(ascii("mine"));
  });
});

describe("the withheld UTACK of a REKEY (R4)", () => {
  it("stays withheld when a late REKEY of the epoch before comes: it is acknowledged alone (simulation, seed 200029163)", () => {
    const subject = establishedDatagram("client");
    const { machine, raw, give } = subject;
    const late = raw.seal("REKEY", 0, SALT, 0);
    give(raw.utack(machineRekeys(subject), 0), START);
    machine.send(ascii("on its way"), START);
    const message = onlySent(subject);
    const next = raw.seal("REKEY", 1, randomBytes(32), 1);
    give(next, START);
    give(late, START);
    give(next, START);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 0, 0)]);
    give(raw.utack(message, 1), START);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("REKEY", 1, 1)]);
  });
});

describe("a peer that sends REKEYs without end", () => {
  it("while ours is unanswered makes the client keep one epoch more, not one for each", () => {
    const ledger = wipeLedger(defaultCrypto());
    const subject = establishedDatagram("client", { client: { crypto: ledger.provider } });
    const { machine, raw, give } = subject;
    machineRekeys(subject);
    for (let i = 0; i < 100; i++) give(raw.seal("REKEY", i, randomBytes(32), 0), after(i));
    expect(sent(machine).utacks).toHaveLength(100);
    expect(trafficKeys(ledger.alive)).toHaveLength(3);
    machine.abort();
    expect(ledger.alive).toEqual([]);
  });

  it("in ties one after the other makes the client keep four epochs, the newest (simulation, seed 1006652)", () => {
    const ledger = wipeLedger(defaultCrypto());
    const subject = establishedDatagram("client", { client: { crypto: ledger.provider } });
    const { machine, raw, give } = subject;
    for (let tie = 0; tie < 5; tie++) {
      const now = after(tie * 1_000);
      const base = tie;
      const own = machineRekeys(subject, now);
      give(raw.seal("REKEY", 2 * tie, randomBytes(32), base), now);
      give(raw.utack(own, base), now);
      give(raw.seal("DATA", 2 * tie + 1, ascii(`${tie}`), base + 1), now);
      datagramsFrom(machine);
      expect(trafficKeys(ledger.alive).length).toBeLessThanOrEqual(4);
    }
    expect(textsFrom(machine)).toEqual(["0", "1", "2", "3", "4"]);
    machine.abort();
    expect(ledger.alive).toEqual([]);
  });
});

describe("any loss or doubling of the datagrams around a REKEY", () => {
  const who = [
    { by: "the client", rekeys: ["client"] },
    { by: "the server", rekeys: ["server"] },
    { by: "both at once", rekeys: ["client", "server"] },
  ] as const;

  it.each(who)("by $by loses, doubles and reorders no message, and leaves both in one epoch", ({ rekeys }) => {
    for (let fates = 0; fates < 3 ** 6; fates++) {
      const pair = new DatagramPair().establish();
      let index = 0;
      pair.network = () => (index < 6 ? Math.floor(fates / 3 ** index++) % 3 : 1);
      pair.client.send(ascii("c1"), pair.now);
      pair.server.send(ascii("s1"), pair.now);
      for (const role of rekeys) pair[role].rekey(pair.now);
      pair.client.send(ascii("c2"), pair.now);
      pair.server.send(ascii("s2"), pair.now);
      pair.advance(15_000);
      pair.client.send(ascii("c3"), pair.now);
      pair.server.send(ascii("s3"), pair.now);
      pair.advance(15_000);
      const { client, server } = pair.takeEvents();
      const received = { client: messages(client), server: messages(server) };
      expect(received, `fates ${fates}`).toEqual({ client: ["s1", "s2", "s3"], server: ["c1", "c2", "c3"] });
      expect(rekeyCount(client) > 0 && rekeyCount(server) > 0, `fates ${fates}`).toBe(true);
    }
  });

  it("survives fifty REKEYs in a row from both sides, with messages between", () => {
    const pair = new DatagramPair().establish();
    let index = 0;
    pair.network = () => [1, 1, 0, 1, 2, 1, 1][index++ % 7] as number;
    for (let i = 0; i < 50; i++) {
      pair.client.rekey(pair.now);
      if (i % 3 === 0) pair.server.rekey(pair.now);
      pair.client.send(ascii(`${i}`), pair.now);
      pair.server.send(ascii(`${i}`), pair.now);
      pair.advance(5_000);
    }
    pair.advance(20_000);
    const all = Array.from({ length: 50 }, (_, i) => `${i}`);
    expect(pair.takeMessages()).toEqual({ client: all, server: all });
    expect(pair.client.epoch).toBeGreaterThan(20);
  });
});

function messages(events: ReturnType<typeof eventsFrom>): string[] {
  return events.flatMap((event) => (event.type === "message" ? [Buffer.from(event.data).toString("latin1")] : []));
}

function rekeyCount(events: ReturnType<typeof eventsFrom>): number {
  return events.filter(({ type }) => type === "rekeyed").length;
}
