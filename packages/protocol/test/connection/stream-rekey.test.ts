import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import type { StreamConnection } from "../../src/connection/stream.ts";
import { after, filled, ROLES, randomBytes, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { type RawSession, seqOf, typeOf } from "../support/raw-peer.ts";
import {
  closeReason,
  establishedStream,
  eventsFrom,
  framesFrom,
  onlyFrame,
  StreamPair,
  textsFrom,
} from "../support/streams.ts";
import { wipeLedger } from "../support/wipe-ledger.ts";

const SALT = filled(32, 0x55);

/** The machine rekeys; the peer learns the new epoch. Answers the peer's number for it. */
function machineRekeys(machine: StreamConnection, raw: RawSession, now = START): number {
  machine.rekey(now);
  return raw.rekey("peer", raw.open(onlyFrame(framesFrom(machine))).plaintext);
}

describe.each(ROLES)("a stream %s that initiates a REKEY", (role) => {
  it("sends a random salt of 32 bytes, and everything after it under the new keys, from seq 0", () => {
    const { machine, raw } = establishedStream(role);
    machine.send(ascii("before"), START);
    machine.rekey(START);
    machine.send(ascii("after"), START);
    const [before, rekey, next] = framesFrom(machine) as [Uint8Array, Uint8Array, Uint8Array];
    expect([before, rekey, next].map(seqOf)).toEqual([0, 1, 0]);
    const { plaintext } = raw.open(rekey, 0);
    expect(plaintext).toHaveLength(32);
    expect(raw.open(next, raw.rekey("peer", plaintext))).toMatchObject({ plaintext: ascii("after") });
    expect(() => raw.open(next, 0)).toThrow();
    expect(eventsFrom(machine).filter(({ type }) => type === "rekeyed")).toEqual([
      { type: "rekeyed", by: "us", epoch: 1 },
    ]);
    expect(machine.epoch).toBe(1);
  });

  it("loses nothing that was on its way to it under the old keys", () => {
    const { machine, raw } = establishedStream(role);
    machineRekeys(machine, raw);
    for (let seq = 0; seq < 5; seq++) machine.handleBytes(raw.seal("DATA", seq, ascii(`old ${seq}`), 0), START);
    machine.handleBytes(raw.seal("DATA", 0, ascii("new"), 1), START);
    expect(textsFrom(machine)).toEqual(["old 0", "old 1", "old 2", "old 3", "old 4", "new"]);
  });

  it("continues a message that the switch of keys falls into, as the field's peers send it", () => {
    const { machine, raw } = establishedStream(role);
    machineRekeys(machine, raw);
    machine.handleBytes(raw.seal("DATA_FRAG", 0, ascii("one, "), 0), START);
    machine.handleBytes(raw.seal("DATA", 0, ascii("two"), 1), START);
    expect(textsFrom(machine)).toEqual(["one, two"]);
  });

  it("reads the old epoch no more after the first frame under the new", () => {
    const { machine, raw } = establishedStream(role);
    machineRekeys(machine, raw);
    machine.handleBytes(raw.seal("DATA", 0, ascii("new"), 1), START);
    machine.handleBytes(raw.seal("DATA", 1, ascii("late"), 0), START);
    expect(closeReason(machine)).toMatchObject({ violation: "bad-tag" });
  });

  it("waits a second between two, and for the peer to follow the first, which a PING brings about", () => {
    const { machine, raw } = establishedStream(role);
    machineRekeys(machine, raw);
    machine.rekey(after(1));
    expect(framesFrom(machine).map(typeOf)).toEqual(["PING"]);
    machine.handleBytes(raw.seal("PONG", 0), after(10));
    expect(machine.hasTransmit).toBe(false);
    expect(machine.pollTimeout()).toBe(after(1_000));
    machine.handleTimeout(after(999));
    expect(machine.hasTransmit).toBe(false);
    machine.handleTimeout(after(1_000));
    expect(framesFrom(machine).map(typeOf)).toEqual(["REKEY"]);
    expect(machine.epoch).toBe(2);
  });

  it("does not begin a second before the peer has followed the first, however long that takes", () => {
    const { machine, raw } = establishedStream(role);
    machineRekeys(machine, raw);
    machine.rekey(after(5_000));
    machine.handleTimeout(after(20_000));
    expect(framesFrom(machine).map(typeOf)).toEqual(["PING"]);
    machine.handleBytes(raw.seal("PONG", 0), after(20_001));
    expect(framesFrom(machine).map(typeOf)).toEqual(["REKEY"]);
  });
});

describe.each(ROLES)("a stream %s whose peer initiates a REKEY", (role) => {
  it("follows at once, and counts from 0", () => {
    const { machine, raw } = establishedStream(role);
    machine.send(ascii("old"), START);
    framesFrom(machine);
    machine.handleBytes(raw.seal("REKEY", 0, SALT), START);
    raw.rekey("us", SALT);
    machine.send(ascii("new"), START);
    const frame = onlyFrame(framesFrom(machine));
    expect(raw.open(frame)).toEqual({ type: "DATA", seq: 0, plaintext: ascii("new") });
    machine.handleBytes(raw.seal("DATA", 0, ascii("here too")), START);
    expect(textsFrom(machine)).toEqual(["here too"]);
    expect(machine.epoch).toBe(1);
  });

  it("reads the old epoch no more: behind a REKEY nothing under it can follow", () => {
    const { machine, raw } = establishedStream(role);
    machine.handleBytes(raw.seal("REKEY", 0, SALT), START);
    machine.handleBytes(raw.seal("DATA", 1, ascii("late")), START);
    expect(closeReason(machine)).toMatchObject({ violation: "unexpected-sequence" });
  });

  it("takes a hundred a second, and closes at the next", () => {
    const { machine, raw } = establishedStream(role);
    const rekey = (now: number): void => {
      const salt = randomBytes(32);
      machine.handleBytes(raw.seal("REKEY", 0, salt), after(now));
      raw.rekey("us", salt);
    };
    for (let i = 0; i < 100; i++) rekey(i * 10);
    expect(machine.epoch).toBe(100);
    rekey(1_000);
    expect(closeReason(machine)).toMatchObject({ violation: "control-flood" });
  });

  it("does not count REKEY among the eight PINGs and PONGs of a second", () => {
    const { machine, raw } = establishedStream(role);
    for (let seq = 0; seq < 8; seq++) machine.handleBytes(raw.seal("PONG", seq), START);
    machine.handleBytes(raw.seal("REKEY", 8, SALT), START);
    expect(machine.state).toBe("established");
  });
});

describe("REKEYs of both sides at once over a stream", () => {
  /**
   * Every interleaving of: each side says REKEY and then a message, and each of its frames arrives. An action is one letter: C and S
   * for the next act of an end, > and < for the arrival of the next frame.
   */
  it("lose, double and reorder nothing in any order, and leave both ends in one epoch", () => {
    let runs = 0;
    for (const order of interleavings({ C: 2, S: 2, ">": 2, "<": 2 })) {
      const pair = new StreamPair();
      eventsFrom(pair.client);
      eventsFrom(pair.server);
      const toServer: Uint8Array[] = [];
      const toClient: Uint8Array[] = [];
      const acts = { C: actsOf(pair.client, "c"), S: actsOf(pair.server, "s") };
      for (const action of order) {
        if (action === "C" || action === "S") acts[action].shift()?.();
        toServer.push(...framesFrom(pair.client));
        toClient.push(...framesFrom(pair.server));
        const arrives = action === ">" ? toServer.shift() : action === "<" ? toClient.shift() : undefined;
        if (arrives !== undefined) (action === ">" ? pair.server : pair.client).handleBytes(arrives, START);
      }
      for (const frame of [...toServer, ...framesFrom(pair.client)]) pair.server.handleBytes(frame, START);
      for (const frame of [...toClient, ...framesFrom(pair.server)]) pair.client.handleBytes(frame, START);
      pair.client.send(ascii("c2"), START);
      pair.server.send(ascii("s2"), START);
      pair.pump(START);
      const result = { client: textsFrom(pair.client), server: textsFrom(pair.server) };
      expect(result, order).toEqual({ client: ["s1", "s2"], server: ["c1", "c2"] });
      runs++;
    }
    expect(runs).toBe(2_520);
  });

  it("are settled for the client's: a client reads on under the server's, but sends and ends under its own", () => {
    const { machine, raw } = establishedStream("client");
    machineRekeys(machine, raw);
    machine.handleBytes(raw.seal("REKEY", 0, SALT, 0), START);
    const loser = raw.rekey("us", SALT, 0);
    machine.handleBytes(raw.seal("DATA", 0, ascii("under the loser"), loser), START);
    machine.send(ascii("mine"), START);
    expect(raw.open(onlyFrame(framesFrom(machine)), 1).plaintext).toEqual(ascii("mine"));
    machine.handleBytes(raw.seal("DATA", 0, ascii("under the client's"), 1), START);
    expect(textsFrom(machine)).toEqual(["under the loser", "under the client's"]);
  });

  it("are settled for the client's: a server gives its own up", () => {
    const { machine, raw } = establishedStream("server");
    machineRekeys(machine, raw);
    machine.handleBytes(raw.seal("REKEY", 0, SALT, 0), START);
    const winner = raw.rekey("us", SALT, 0);
    machine.send(ascii("mine"), START);
    expect(raw.open(onlyFrame(framesFrom(machine)), winner)).toMatchObject({ seq: 0, plaintext: ascii("mine") });
    machine.handleBytes(raw.seal("DATA", 0, ascii("under the winner"), winner), START);
    expect(textsFrom(machine)).toEqual(["under the winner"]);
  });

  it("leave a session in which both may rekey again", () => {
    const pair = new StreamPair();
    pair.client.rekey(START);
    pair.server.rekey(START);
    pair.pump(START);
    pair.server.rekey(after(1_500));
    pair.pump(after(1_500));
    pair.client.rekey(after(3_000));
    pair.pump(after(3_000));
    pair.server.send(ascii("still here"), after(3_000));
    pair.pump(after(3_000));
    expect(textsFrom(pair.client)).toEqual(["still here"]);
  });
});

describe("the keys of a stream session", () => {
  it.each(ROLES)("are all wiped when a %s closes, whatever epochs it held", (role) => {
    for (const during of ["quiet", "own rekey", "peer's rekey", "tie"] as const) {
      const ledger = wipeLedger(defaultCrypto());
      const { machine, raw } = establishedStream(role, {
        client: { crypto: ledger.provider },
        server: { crypto: ledger.provider },
      });
      if (during === "own rekey" || during === "tie") machine.rekey(START);
      if (during === "peer's rekey" || during === "tie") machine.handleBytes(raw.seal("REKEY", 0, SALT), START);
      expect(ledger.alive.length).toBeGreaterThan(0);
      machine.close(START);
      expect(ledger.alive, during).toEqual([]);
    }
  });

  it("of each epoch are wiped once they are not needed", () => {
    const ledger = wipeLedger(defaultCrypto());
    const { machine, raw } = establishedStream("client", { client: { crypto: ledger.provider } });
    machineRekeys(machine, raw);
    expect(ledger.alive).toHaveLength(2);
    machine.handleBytes(raw.seal("DATA", 0), START);
    expect(ledger.alive).toHaveLength(1);
  });
});

function actsOf(machine: StreamConnection, name: string): (() => void)[] {
  return [() => machine.rekey(START), () => void machine.send(ascii(`${name}1`), START)];
}

function* interleavings(left: Readonly<Record<string, number>>): Generator<string> {
  const open = Object.keys(left).filter((letter) => (left[letter] as number) > 0);
  if (open.length === 0) yield "";
  for (const letter of open) {
    for (const rest of interleavings({ ...left, [letter]: (left[letter] as number) - 1 })) yield letter + rest;
  }
}
