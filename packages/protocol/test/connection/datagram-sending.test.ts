import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { looksLikeUtack } from "../../src/wire/utack.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import { acknowledgeAll, establishedDatagram, sent } from "../support/datagrams.ts";
import { failingSeal } from "../support/failing-seal.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { seqOf, typeOf } from "../support/raw-peer.ts";
import { eventsFrom } from "../support/streams.ts";

describe.each(ROLES)("a datagram %s that sends", (role) => {
  it.each([0, 1, 451, 452, 453, 904, 1356, 1357, 1808])("%i bytes has them acknowledged frame by frame", (length) => {
    const subject = establishedDatagram(role);
    const message = Uint8Array.from({ length }, (_, i) => i & 0xff);
    const id = subject.machine.send(message, START);
    const opened = acknowledgeAll(subject, after(5));
    expect(opened.flatMap(({ plaintext }) => [...plaintext])).toEqual([...message]);
    expect(opened.map(({ seq }) => seq)).toEqual(opened.map((_, i) => i));
    expect(opened.map(({ type }) => type)).toEqual([...opened.slice(1).map(() => "DATA_FRAG"), "DATA"]);
    expect(eventsFrom(subject.machine)).toContainEqual({ type: "acknowledged", id });
    // Later fragments left at the moment that the one before was acknowledged, so only the first shows a round trip over 0.
    expect(subject.machine.roundTripMs).toBeGreaterThan(0);
    expect(subject.machine.roundTripMs).toBeLessThanOrEqual(5);
  });

  it("one frame at a time: the next goes out when the last is acknowledged", () => {
    const { machine, raw, give } = establishedDatagram(role);
    for (const text of ["a", "b", "c"]) machine.send(ascii(text), START);
    const first = sent(machine).frames;
    expect(first).toHaveLength(1);
    give(raw.utack(first[0] as Uint8Array), START);
    expect(sent(machine).frames.map((frame) => raw.open(frame))).toMatchObject([{ seq: 1, plaintext: ascii("b") }]);
  });

  it("sends again after 0.5, 1, 2, 4 s and then every 5, the same bytes, as long as the peer shows life", () => {
    const { machine, raw, give } = establishedDatagram(role);
    machine.send(ascii("x"), START);
    const [frame] = sent(machine).frames as [Uint8Array];
    const times: number[] = [];
    let seq = 0;
    for (let ms = 0; ms <= 120_000; ms += 500) {
      if (ms % 20_000 === 0) give(raw.seal("PONG", seq++), after(ms));
      machine.handleTimeout(after(ms));
      for (const data of sent(machine).frames.filter((data) => typeOf(data) === "DATA")) {
        expect(data).toEqual(frame);
        times.push(ms);
      }
    }
    expect(times.slice(0, 6)).toEqual([500, 1_500, 3_500, 7_500, 12_500, 17_500]);
    expect(machine.state).toBe("established");
    give(raw.utack(frame), after(120_000));
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
    // Karn's rule: a frame that was sent more than once shows no round trip.
    expect(machine.roundTripMs).toBeUndefined();
  });

  it("is told at the end what may have arrived and what was never sent", () => {
    const { machine } = establishedDatagram(role);
    for (const text of ["a", "b", "c"]) machine.send(ascii(text), START);
    machine.abort();
    expect(eventsFrom(machine).at(-1)).toMatchObject({ undelivered: { unknown: [0], unsent: [1, 2] } });
  });

  it("refuses 1,809 bytes to the caller, and everything once it is closed", () => {
    const { machine } = establishedDatagram(role);
    expect(() => machine.send(filled(1809, 0), START)).toThrow(expect.objectContaining({ code: "message-too-long" }));
    machine.abort();
    expect(() => machine.send(ascii("x"), START)).toThrow(expect.objectContaining({ code: "not-established" }));
  });

  it("never uses a seq again, also when sealing fails (P5)", () => {
    const { provider, seqs, failNext } = failingSeal(defaultCrypto());
    const { machine, raw, give } = establishedDatagram(role, {
      client: { crypto: provider },
      server: { crypto: provider },
    });
    failNext();
    expect(() => machine.ping(START)).toThrow("the cipher failed");
    machine.send(ascii("a"), START);
    give(raw.utack(sent(machine).frames[0] as Uint8Array), START);
    machine.send(ascii("b"), START);
    machine.handleTimeout(after(600));
    expect(seqs).toEqual([0, 1, 2]);
  });
});

describe.each(ROLES)("a UTACK to a datagram %s", (role) => {
  const waiting = () => {
    const subject = establishedDatagram(role);
    subject.machine.send(ascii("x"), START);
    return { ...subject, frame: sent(subject.machine).frames[0] as Uint8Array };
  };

  it("is refused with any bit of it changed: the frame stays unacknowledged", () => {
    const { machine, raw, give, frame } = waiting();
    const utack = raw.utack(frame);
    for (let bit = 0; bit < utack.length * 8; bit++) {
      const forged = utack.slice();
      forged[bit >>> 3] = (forged[bit >>> 3] as number) ^ (1 << (bit & 7));
      give(forged, START);
    }
    expect(eventsFrom(machine)).toEqual([]);
    give(utack, START);
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
  });

  it("is refused under the key of the other direction: our own UTACKs reflected acknowledge nothing", () => {
    const { machine, raw, give, frame } = waiting();
    give(raw.expectedUtack("DATA", seqOf(frame)), START);
    expect(eventsFrom(machine)).toEqual([]);
  });

  it("counts once: a second one acknowledges nothing", () => {
    const { machine, raw, give, frame } = waiting();
    give(raw.utack(frame), START);
    eventsFrom(machine);
    give(raw.utack(frame), START);
    expect(eventsFrom(machine)).toEqual([]);
  });

  it("costs no cryptography when nothing with its type and seq waits", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const { machine, raw, give } = establishedDatagram(role, {
      client: { crypto: provider },
      server: { crypto: provider },
    });
    machine.send(ascii("x"), START);
    const [frame] = sent(machine).frames as [Uint8Array];
    const other = frame.slice();
    other[4] = 7;
    reset();
    give(raw.utack(other), START);
    expect(calls.acknowledgementMac).toBe(0);
  });
});

describe("a PING of ours that is unacknowledged", () => {
  it("holds back a message of more than one frame, which the field's peers would drop half, but not of one", () => {
    const { machine, raw, give } = establishedDatagram("client");
    machine.ping(START);
    const [ping] = sent(machine).frames as [Uint8Array];
    machine.send(ascii("one frame"), START);
    const [data] = sent(machine).frames as [Uint8Array];
    expect([ping, data].map(typeOf)).toEqual(["PING", "DATA"]);
    machine.send(filled(500, 1), START);
    give(raw.utack(data), START);
    expect(sent(machine).frames).toEqual([]);
    give(raw.utack(ping), START);
    expect(sent(machine).frames.map(typeOf)).toEqual(["DATA_FRAG"]);
  });
});

describe("a frame that waits for its acknowledgement never gets too old for the peer's window of 64", () => {
  it("when it is a PING that was lost once, and messages go on without pause", () => {
    const pair = new DatagramPair().establish();
    let pings = 0;
    pair.network = (_, data) => (typeOfSealed(data) === "PING" && pings++ === 0 ? 0 : 1);
    pair.client.ping(pair.now);
    for (let i = 0; i < 200; i++) pair.client.send(ascii(`${i}`), pair.now);
    pair.advance(20_000);
    const { client, server } = pair.takeEvents();
    expect(pings).toBeGreaterThan(1);
    expect(client.filter(({ type }) => type === "pong").length).toBeGreaterThan(0);
    expect(server.filter(({ type }) => type === "message")).toHaveLength(200);
  });

  it("when it is a message that the peer has no room for, and PINGs go on for minutes", () => {
    const pair = new DatagramPair().establish();
    pair.server.pauseReceiving();
    pair.client.send(ascii("kept"), pair.now);
    for (let second = 0; second < 300; second++) {
      pair.client.ping(pair.now);
      pair.advance(1_000);
    }
    expect(pair.takeMessages().server).toEqual([]);
    pair.server.resumeReceiving();
    pair.advance(10_000);
    expect(pair.takeMessages().server).toEqual(["kept"]);
  });
});

/** The type of a sealed frame; undefined for UTACKs. */
function typeOfSealed(data: Uint8Array): string | undefined {
  return looksLikeUtack(data) ? undefined : typeOf(data);
}
