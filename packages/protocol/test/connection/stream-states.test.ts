import { describe, expect, it } from "vitest";
import type { StreamConnection } from "../../src/connection/stream.ts";
import type { FrameTypeName } from "../../src/wire/frame.ts";
import { START, testPsk } from "../support/fixtures.ts";
import { FRAME_TYPES, outcomeOf, sampleFrame } from "../support/outcomes.ts";
import { RawClient, RawServer, type RawSession, typeOf } from "../support/raw-peer.ts";
import {
  establishedStream,
  eventsFrom,
  framesFrom,
  newStreamClient,
  newStreamServer,
  onlyFrame,
} from "../support/streams.ts";

type Subject = { readonly machine: StreamConnection; readonly raw?: RawSession };
type Row = Partial<Record<FrameTypeName, string>>;

/** What is not in the row of a state. ERROR carries no authentication: it changes nothing in any state (spec section 2). */
const REFUSED = "closes: unexpected-type";
const ERROR_DROPPED = "drops error-frame";

const IN_SESSION: Row = {
  DATA: "says message",
  PING: "sends PONG",
  PONG: "nothing",
  BYE: "closes: closed-by-peer",
  DATA_FRAG: "nothing",
  REKEY: "says rekeyed",
};
const CLOSED: Row = Object.fromEntries(FRAME_TYPES.map((type) => [type, "nothing"]));

const clientStates: readonly { state: string; row: Row; reach: () => Subject }[] = [
  {
    state: "waiting for CHALLENGE",
    row: { CHALLENGE: "sends HELLO_ACK" },
    reach: () => fresh(newStreamClient()),
  },
  {
    state: "waiting for SESSION_OK",
    row: { SESSION_OK: "closes: peer-proof" },
    reach: () => {
      const machine = newStreamClient();
      machine.handleBytes(new RawServer().challenge(onlyFrame(framesFrom(machine))), START);
      return fresh(machine);
    },
  },
  { state: "established", row: IN_SESSION, reach: () => establishedStream("client") },
  { state: "closed", row: CLOSED, reach: () => closed(establishedStream("client")) },
];

const serverStates: readonly { state: string; row: Row; reach: () => Subject }[] = [
  {
    state: "waiting for HELLO",
    row: { HELLO: "says keys-needed, sends CHALLENGE" },
    reach: () => fresh(newStreamServer()),
  },
  {
    state: "waiting for HELLO_ACK",
    row: { HELLO_ACK: "closes: wrong-key" },
    reach: () => challenged([testPsk()]),
  },
  {
    state: "waiting for keys, with a HELLO_ACK at hand",
    row: {},
    reach: () => {
      const subject = challenged(undefined);
      subject.machine.handleBytes(sampleFrame("HELLO_ACK", undefined), START);
      return subject;
    },
  },
  {
    state: "established",
    // The first authentic session frame proves the client, even where the frame itself then ends the session.
    row: Object.fromEntries(
      Object.entries(IN_SESSION).map(([type, outcome]) => [
        type,
        outcome === "nothing" ? "says proven" : `says proven, ${outcome}`,
      ]),
    ),
    reach: () => establishedStream("server"),
  },
  { state: "closed", row: CLOSED, reach: () => closed(establishedStream("server")) },
];

describe.each(clientStates)("a stream client that is $state", ({ row, reach }) => {
  it.each(FRAME_TYPES)("on %s does what the table says, and nothing else", (type) => expectRow(row, reach(), type));
});

describe.each(serverStates)("a stream server that is $state", ({ row, reach }) => {
  it.each(FRAME_TYPES)("on %s does what the table says, and nothing else", (type) => expectRow(row, reach(), type));
});

function expectRow(row: Row, { machine, raw }: Subject, type: FrameTypeName): void {
  const frame = sampleFrame(type, raw);
  const outcome = outcomeOf(
    machine,
    [machine.counters],
    () => machine.handleBytes(frame, START),
    () => framesFrom(machine).map(typeOf),
  );
  expect(outcome).toBe(row[type] ?? (type === "ERROR" ? ERROR_DROPPED : REFUSED));
}

function fresh(machine: StreamConnection): Subject {
  framesFrom(machine);
  eventsFrom(machine);
  return { machine };
}

function challenged(candidates: Parameters<ReturnType<typeof newStreamServer>["provideKeys"]>[0] | undefined): Subject {
  const machine = newStreamServer();
  machine.handleBytes(new RawClient().hello(), START);
  if (candidates !== undefined) machine.provideKeys(candidates, START);
  return fresh(machine);
}

/** Closed, with a peer that still holds the keys. */
function closed({ machine, raw }: { machine: StreamConnection; raw: RawSession }): Subject {
  machine.abort();
  return { ...fresh(machine), raw };
}
