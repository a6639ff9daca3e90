import { describe, expect, it } from "vitest";
import { LAST_SEQ } from "../../src/constants.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import {
  CLIENT_ADDRESS,
  datagramsFrom,
  establishedDatagram,
  OTHER_ADDRESS,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { after, filled, ROLES, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { typeOf } from "../support/raw-peer.ts";
import { establishedStream, framesFrom, textsFrom } from "../support/streams.ts";

const ACCEPTED = { client: { acknowledge: "accepted" }, server: { acknowledge: "accepted" } } as const;

describe.each(ROLES)("a datagram %s that acknowledges what was accepted", (role) => {
  it("withholds the UTACK until then, from duplicates too, and answers duplicates afterwards", () => {
    const { machine, raw, give } = establishedDatagram(role, ACCEPTED);
    const frame = raw.seal("DATA", 0, ascii("kept"));
    for (const at of [0, 500, 1_500]) give(frame, after(at));
    expect(textsFrom(machine)).toEqual(["kept"]);
    expect(datagramsFrom(machine)).toEqual([]);
    machine.acceptMessages(1);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 0)]);
    give(frame, after(3_000));
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 0)]);
    expect(textsFrom(machine)).toEqual([]);
  });

  it("withholds only the frame that completed the message, and acknowledges in order what is accepted out of many", () => {
    const { machine, raw, give } = establishedDatagram(role, ACCEPTED);
    give(raw.seal("DATA_FRAG", 0, filled(452, 1)), START);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA_FRAG", 0)]);
    give(raw.seal("DATA", 1, ascii("end")), START);
    give(raw.seal("DATA", 2, ascii("b")), START);
    give(raw.seal("DATA", 3, ascii("c")), START);
    expect(datagramsFrom(machine)).toEqual([]);
    machine.acceptMessages(2);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 1), raw.expectedUtack("DATA", 2)]);
    machine.acceptMessages(3);
    expect(sent(machine).utacks).toEqual([raw.expectedUtack("DATA", 3)]);
  });

  it("acknowledges control frames at once, and hears PINGs", () => {
    const { machine, raw, give } = establishedDatagram(role, ACCEPTED);
    give(raw.seal("DATA", 0, ascii("x")), START);
    give(raw.seal("PING", 1), START);
    expect(sentTypes(machine)).toEqual(["UTACK of PING", "PONG"]);
  });

  it("acknowledges nothing more after the end", () => {
    const { machine, raw, give } = establishedDatagram(role, ACCEPTED);
    give(raw.seal("DATA", 0, ascii("x")), START);
    machine.abort();
    machine.acceptMessages(1);
    expect(datagramsFrom(machine)).toEqual([]);
  });
});

it("a UTACK that was withheld goes where the newest copy of its frame came from", () => {
  const { machine, raw, give } = establishedDatagram("server", ACCEPTED);
  const frame = raw.seal("DATA", 0, ascii("x"));
  give(frame, START);
  give(frame, after(400), OTHER_ADDRESS);
  machine.acceptMessages(1);
  const utack = datagramsFrom(machine).find(({ data }) => Buffer.compare(data, raw.expectedUtack("DATA", 0)) === 0);
  expect(utack?.to).toBe(OTHER_ADDRESS);
  expect(utack?.to).not.toBe(CLIENT_ADDRESS);
});

it("between two ends of ours a message counts as delivered only when it and all before it were accepted", () => {
  const pair = new DatagramPair({ server: { acknowledge: "accepted" } }).establish();
  for (let i = 0; i < 100; i++) pair.client.send(ascii(`${i}`), pair.now);
  let received = 0;
  let acknowledged = 0;
  for (let turn = 0; received < 100; turn++) {
    pair.advance(20);
    const { client, server } = pair.takeEvents();
    acknowledged += client.filter(({ type }) => type === "acknowledged").length;
    // What was accepted in the last turn, and nothing of what came in this one.
    expect(acknowledged).toBeLessThanOrEqual(received);
    received += server.filter(({ type }) => type === "message").length;
    pair.server.acceptMessages(received);
    expect(turn).toBeLessThan(500);
  }
  pair.advance(5_000);
  acknowledged += pair.takeEvents().client.filter(({ type }) => type === "acknowledged").length;
  expect(acknowledged).toBe(100);
});

describe.each(ROLES)("a stream %s that acknowledges what was accepted", (role) => {
  it("answers a PING only when the messages before it are accepted, and at once when they are", () => {
    const { machine, raw } = establishedStream(role, ACCEPTED);
    machine.handleBytes(raw.seal("PING", 0), START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
    machine.handleBytes(raw.seal("DATA", 1, ascii("a")), START);
    machine.handleBytes(raw.seal("PING", 2), START);
    machine.handleBytes(raw.seal("DATA", 3, ascii("behind the PING")), START);
    expect(framesFrom(machine)).toEqual([]);
    machine.acceptMessages(1, START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
    machine.acceptMessages(2, START);
    machine.handleBytes(raw.seal("PING", 4), after(200));
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
  });

  it("owes two PONGs at most, and the last of them stands for all PINGs that came meanwhile", () => {
    const { machine, raw } = establishedStream(role, ACCEPTED);
    let seq = 0;
    for (let i = 0; i < 4; i++) {
      machine.handleBytes(raw.seal("DATA", seq++, ascii(`${i}`)), after(i * 1_000));
      machine.handleBytes(raw.seal("PING", seq++), after(i * 1_000));
    }
    machine.acceptMessages(1, START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
    machine.acceptMessages(3, START);
    expect(framesFrom(machine)).toEqual([]);
    machine.acceptMessages(4, START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
  });

  it("sends no PONG behind the BYE of a session whose numbers ran out, nor after an end", () => {
    const firstSeq = LAST_SEQ - 17;
    const { machine, raw } = establishedStream(role, { ...ACCEPTED, firstSeq });
    machine.handleBytes(raw.seal("DATA", firstSeq, ascii("a")), START);
    machine.handleBytes(raw.seal("PING", firstSeq + 1), START);
    machine.handleBytes(raw.seal("PING", firstSeq + 2), START);
    machine.acceptMessages(1, START);
    expect(framesFrom(machine).map(typeOf)).toEqual(["PONG", "BYE"]);
    machine.acceptMessages(1, START);
    expect(framesFrom(machine)).toEqual([]);
  });
});

it("without it a stream answers a PING at once, accepted or not", () => {
  const { machine, raw } = establishedStream("server");
  machine.handleBytes(raw.seal("DATA", 0, ascii("a")), START);
  machine.handleBytes(raw.seal("PING", 1), START);
  expect(framesFrom(machine).map(typeOf)).toEqual(["PONG"]);
  machine.acceptMessages(1, START);
  expect(framesFrom(machine)).toEqual([]);
});

it("without it a datagram session has nothing to accept", () => {
  const { machine } = establishedDatagram("server");
  machine.acceptMessages(1);
  expect(datagramsFrom(machine)).toEqual([]);
});
