import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { LAST_SEQ } from "../../src/constants.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import { acknowledgeAll, datagramsFrom, establishedDatagram, sent } from "../support/datagrams.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { closeReason, eventsFrom, textsFrom } from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

describe("the end of the sequence numbers over datagrams", () => {
  it("ends the session with BYE before they run out, after what is on its way", () => {
    const subject = establishedDatagram("client", { firstSeq: LAST_SEQ - 17 });
    subject.machine.send(ascii("last"), START);
    subject.machine.send(ascii("too late"), START);
    const opened = acknowledgeAll(subject, START);
    expect(opened).toMatchObject([
      { type: "DATA", seq: LAST_SEQ - 17 },
      { type: "BYE", seq: LAST_SEQ - 16 },
    ]);
    expect(eventsFrom(subject.machine).at(-1)).toMatchObject({
      reason: { code: "sequence-exhausted" },
      undelivered: { unknown: [], unsent: [1] },
    });
  });

  it("answers no PING any more while it waits: the last numbers are for BYE", () => {
    const subject = establishedDatagram("client", { firstSeq: LAST_SEQ - 17 });
    subject.machine.send(ascii("last"), START);
    datagramsFrom(subject.machine);
    subject.give(subject.raw.seal("PING", 0), START);
    expect(subject.machine.state).toBe("closing");
    expect(sent(subject.machine)).toEqual({ frames: [], utacks: [subject.raw.expectedUtack("PING", 0)] });
  });

  it("finishes a message that is half sent", () => {
    const subject = establishedDatagram("client", { firstSeq: LAST_SEQ - 17 });
    subject.machine.send(filled(1_808, 1), START);
    expect(acknowledgeAll(subject, START).map(({ type }) => type)).toEqual([
      "DATA_FRAG",
      "DATA_FRAG",
      "DATA_FRAG",
      "DATA",
      "BYE",
    ]);
    expect(eventsFrom(subject.machine).map(({ type }) => type)).toEqual(["acknowledged", "closed"]);
  });

  it("takes an authentic BYE on the last", () => {
    const { machine, raw, give } = establishedDatagram("client");
    give(raw.seal("BYE", LAST_SEQ), START);
    expect(closeReason(machine)).toEqual({ code: "closed-by-peer" });
  });
});

describe.each(ROLES)("close() of a datagram %s", (role) => {
  it("sends what is queued, then BYE, and ends when that is acknowledged", () => {
    const subject = establishedDatagram(role);
    subject.machine.send(ascii("a"), START);
    subject.machine.send(ascii("b"), START);
    subject.machine.close(START);
    subject.machine.close(START);
    expect(subject.machine.state).toBe("closing");
    expect(acknowledgeAll(subject, START).map(({ type }) => type)).toEqual(["DATA", "DATA", "BYE"]);
    const events = eventsFrom(subject.machine).map(({ type }) => type);
    expect(events.filter((type) => type !== "proven")).toEqual(["acknowledged", "acknowledged", "closed"]);
  });

  it("gives up after a second, and tells what is undelivered", () => {
    const { machine } = establishedDatagram(role);
    machine.send(ascii("a"), START);
    machine.close(START);
    machine.handleTimeout(after(999));
    expect(machine.state).toBe("closing");
    expect(machine.pollTimeout()).toBe(after(1_000));
    machine.handleTimeout(after(1_000));
    expect(eventsFrom(machine)).toMatchObject([
      { type: "closed", reason: { code: "closed-locally" }, undelivered: { unknown: [0], unsent: [] } },
    ]);
  });

  it("still takes messages while it waits, but no new ones to send", () => {
    const { machine, raw, give } = establishedDatagram(role);
    machine.close(START);
    give(raw.seal("DATA", 0, ascii("late")), START);
    expect(textsFrom(machine)).toEqual(["late"]);
    expect(() => machine.send(ascii("x"), START)).toThrow(/is closing; it must be established/);
  });

  it("wipes every key at the end, and nothing opens or leaves after it", () => {
    const ledger = wipeLedger(defaultCrypto());
    const { machine, raw, give } = establishedDatagram(role, {
      client: { crypto: ledger.provider },
      server: { crypto: ledger.provider },
    });
    machine.abort();
    expect(ledger.alive).toEqual([]);
    give(raw.seal("DATA", 0), START);
    machine.handleTimeout(after(100_000));
    machine.close(after(100_000));
    expect(machine.pollTimeout()).toBeUndefined();
    expect(datagramsFrom(machine)).toEqual([]);
  });
});

describe("two ends over a network that loses", () => {
  /** Every way to lose, deliver or double each of the first six datagrams after the handshake. */
  it("deliver each message once and in order, whatever happens to the first six datagrams", () => {
    for (let fates = 0; fates < 3 ** 6; fates++) {
      const pair = new DatagramPair().establish();
      let index = 0;
      pair.network = () => Math.floor(fates / 3 ** index++) % 3;
      for (const n of [1, 2]) {
        pair.client.send(ascii(`c${n}`), pair.now);
        pair.server.send(ascii(`s${n}`), pair.now);
      }
      pair.network = withEnd(pair.network, () => index >= 6);
      pair.advance(20_000);
      expect(pair.takeMessages(), `fates ${fates}`).toEqual({ client: ["s1", "s2"], server: ["c1", "c2"] });
    }
  });

  it("complete a handshake, whatever happens to its first six datagrams", () => {
    let established = 0;
    for (let fates = 0; fates < 3 ** 6; fates++) {
      const pair = new DatagramPair();
      let index = 0;
      pair.network = withEnd(
        () => Math.floor(fates / 3 ** index++) % 3,
        () => index >= 6,
      );
      pair.advance(9_999);
      if (pair.client.state === "established" && pair.server.state === "established") established++;
    }
    expect(established).toBe(3 ** 6);
  });
});

function withEnd(network: DatagramPair["network"], over: () => boolean): DatagramPair["network"] {
  return (from, data) => (over() ? 1 : network(from, data));
}
