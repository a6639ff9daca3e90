import { describe, expect, it } from "vitest";
import type { Counters } from "../../src/connection/counters.ts";
import type { DatagramConnection } from "../../src/connection/datagram.ts";
import type { FrameTypeName } from "../../src/wire/frame.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  datagramsFrom,
  type EstablishedDatagram,
  establishedDatagramClient,
  establishedDatagramServer,
  newDatagramClient,
  newEndpoint,
  SERVER_ADDRESS,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { START, testPsk } from "../support/fixtures.ts";
import { FRAME_TYPES, outcomeOf, sampleFrame } from "../support/outcomes.ts";
import { RawClient, RawServer, type RawSession } from "../support/raw-peer.ts";
import { eventsFrom } from "../support/streams.ts";

interface Subject {
  readonly machine: DatagramConnection;
  readonly raw?: RawSession;
  readonly counters: readonly Counters[];
  readonly give: (datagram: Uint8Array) => void;
  readonly sent: () => readonly string[];
}
type Row = Partial<Record<FrameTypeName, string>>;

/** What is not in the row of a state. ERROR carries no authentication: it changes nothing in any state (spec section 2). */
const REFUSED = "drops unexpected-type";
const ERROR_DROPPED = "drops error-frame";

/** Late copies of the server's handshake frames are acknowledged, as its UTACKs can be lost, and have no effect. */
const LATE_HANDSHAKE: Row = {
  CHALLENGE: "sends UTACK of CHALLENGE",
  SESSION_OK: "sends UTACK of SESSION_OK",
  HELLO_RETRY: "sends UTACK of HELLO_RETRY",
};
const IN_SESSION: Row = {
  DATA: "says message, sends UTACK of DATA",
  PING: "sends UTACK of PING, sends PONG",
  PONG: "sends UTACK of PONG",
  BYE: "says closes",
  DATA_FRAG: "sends UTACK of DATA_FRAG",
  // Nothing of ours is on its way: acknowledged at once, and the new epoch is used when the peer has shown it (R4).
  REKEY: "sends UTACK of REKEY",
};
const ESTABLISHED: Row = { ...IN_SESSION, BYE: "closes: closed-by-peer, sends UTACK of BYE" };
/** Closing, with our own BYE unacknowledged: nothing new is begun, so a PONG waits for ever. */
const CLOSING: Row = {
  ...IN_SESSION,
  PING: "sends UTACK of PING",
  BYE: "closes: closed-locally, sends UTACK of BYE",
  REKEY: "nothing",
};
const CLOSED: Row = Object.fromEntries(FRAME_TYPES.map((type) => [type, "nothing"]));

const clientStates: readonly { state: string; row: Row; reach: () => Subject }[] = [
  {
    state: "has sent HELLO",
    row: {
      HELLO_RETRY: "sends UTACK of HELLO_RETRY, sends HELLO",
      CHALLENGE: "sends UTACK of CHALLENGE, sends HELLO_ACK",
    },
    reach: () => client(newDatagramClient()),
  },
  {
    state: "has sent HELLO_ACK",
    row: {
      HELLO_RETRY: "sends UTACK of HELLO_RETRY, sends HELLO",
      CHALLENGE: "sends UTACK of CHALLENGE, sends HELLO_ACK",
      SESSION_OK: "drops bad-proof",
    },
    reach: () => {
      const machine = newDatagramClient();
      machine.handleDatagram(new RawServer().challenge(sent(machine).frames[0] as Uint8Array), SERVER_ADDRESS, START);
      return client(machine);
    },
  },
  {
    state: "is established",
    row: { ...LATE_HANDSHAKE, ...ESTABLISHED },
    reach: () => session(establishedDatagramClient()),
  },
  {
    state: "is closing",
    row: { ...LATE_HANDSHAKE, ...CLOSING },
    reach: () => session(closing(establishedDatagramClient())),
  },
  { state: "is closed", row: CLOSED, reach: () => session(aborted(establishedDatagramClient())) },
];

/** A HELLO without cookie is the endpoint's: it answers without state, whatever lives at the address (threats page, 2.2 c). */
const AT_ENDPOINT: Row = { HELLO: "sends HELLO_RETRY" };

const serverStates: readonly { state: string; row: Row; reach: () => Subject }[] = [
  {
    state: "has sent CHALLENGE",
    row: { ...AT_ENDPOINT, HELLO_ACK: "refuses: wrong-key, drops bad-proof", ...droppedByRoute("no-session") },
    reach: () => {
      const endpoint = newEndpoint();
      const { machine } = challengedServer(endpoint, new RawClient());
      machine.provideKeys([testPsk()], START);
      return server({ machine, endpoint });
    },
  },
  {
    state: "is established",
    row: { ...AT_ENDPOINT, HELLO_ACK: "drops no-session", ...proving(ESTABLISHED) },
    reach: () => server(establishedDatagramServer()),
  },
  {
    state: "is closing",
    row: { ...AT_ENDPOINT, HELLO_ACK: "drops no-session", ...proving(CLOSING) },
    reach: () => server(closing(establishedDatagramServer())),
  },
  {
    state: "is closed",
    row: { ...AT_ENDPOINT, HELLO_ACK: "drops no-session", ...droppedByRoute("no-session") },
    reach: () => server(aborted(establishedDatagramServer())),
  },
];

describe.each(clientStates)("a datagram client that $state", ({ row, reach }) => {
  it.each(FRAME_TYPES)("on %s does what the table says, and nothing else", (type) => expectRow(row, reach(), type));
});

describe.each(serverStates)("a datagram server that $state", ({ row, reach }) => {
  it.each(FRAME_TYPES)("on %s does what the table says, and nothing else", (type) => expectRow(row, reach(), type));
});

function expectRow(row: Row, subject: Subject, type: FrameTypeName): void {
  const { machine, raw, counters, give } = subject;
  const outcome = outcomeOf(machine, counters, () => give(sampleFrame(type, raw)), subject.sent);
  expect(outcome).toBe(row[type] ?? (type === "ERROR" ? ERROR_DROPPED : REFUSED));
}

function droppedByRoute(cause: string): Row {
  return Object.fromEntries(
    ["DATA", "PING", "PONG", "BYE", "DATA_FRAG", "REKEY"].map((type) => [type, `drops ${cause}`]),
  );
}

/** The first authentic frame proves the client. */
function proving(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([type, outcome]) => [
      type,
      outcome === "nothing" ? "says proven" : `says proven, ${outcome}`,
    ]),
  );
}

function client(machine: DatagramConnection): Subject {
  const subject = {
    machine,
    counters: [machine.counters],
    give: (datagram: Uint8Array) => machine.handleDatagram(datagram, SERVER_ADDRESS, START),
    sent: () => sentTypes(machine),
  };
  datagramsFrom(machine);
  eventsFrom(machine);
  return subject;
}

function session({ machine, raw }: EstablishedDatagram): Subject {
  return { ...client(machine), raw };
}

function server({
  machine,
  endpoint,
  raw,
}: {
  machine: DatagramConnection;
  endpoint: ReturnType<typeof newEndpoint>;
  raw?: RawSession;
}): Subject {
  datagramsFrom(machine);
  eventsFrom(machine);
  return {
    machine,
    ...(raw === undefined ? {} : { raw }),
    counters: [machine.counters, endpoint.counters],
    give: (datagram) => void endpoint.handleDatagram(datagram, CLIENT_ADDRESS, START),
    sent: () => [...sentTypes(machine), ...sentTypes(endpoint)],
  };
}

function closing<T extends EstablishedDatagram>(established: T): T {
  established.machine.close(START);
  return established;
}

function aborted<T extends EstablishedDatagram>(established: T): T {
  established.machine.abort();
  return established;
}
