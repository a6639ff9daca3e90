import { SeededRandom, withSeed } from "@usmp/testkit";
import { expect, test } from "vitest";
import type { Connection } from "../../src/connection/connection.ts";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import { addMs, type Instant } from "../../src/time.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  datagramsFrom,
  establishedDatagram,
  establishedDatagramServer,
  newDatagramClient,
  newEndpoint,
  OTHER_ADDRESS,
  SERVER_ADDRESS,
} from "../support/datagrams.ts";
import { ROLES, START, testPsk } from "../support/fixtures.ts";
import { RawClient, RawServer, type RawSession } from "../support/raw-peer.ts";
import { establishedStream, eventsFrom, framesFrom, newStreamClient, newStreamServer } from "../support/streams.ts";
import { batches, hostile } from "./inputs.ts";

/** Inputs for one machine, which may end before: then the next one begins. */
const BATCH = 100;

test.each(ROLES)(
  "any bytes make a %s's stream handshake end with a reason or wait, never establish, never throw",
  (role) => {
    const corpus = handshakeCorpus();
    for (const random of batches(20_000, BATCH)) {
      withSeed(random.seed, () => {
        let machine = role === "client" ? newStreamClient() : newStreamServer();
        for (let i = 0; i < BATCH; i++) {
          const now = addMs(START, i);
          machine.handleBytes(hostile(random, corpus), now);
          const events = eventsFrom(machine);
          if (events.some(({ type }) => type === "keys-needed") && "provideKeys" in machine) {
            machine.provideKeys([testPsk()], now);
          }
          expectNoSession([...events, ...eventsFrom(machine)]);
          expect(bytesIn(framesFrom(machine))).toBeLessThan(500);
          if (machine.state === "closed") machine = role === "client" ? newStreamClient() : newStreamServer();
        }
      });
    }
  },
);

test.each(ROLES)(
  "any bytes make a %s's stream session end with a reason or wait, and deliver nothing that was not sealed",
  (role) => {
    for (const random of batches(20_000, BATCH)) {
      withSeed(random.seed, () => {
        let { machine, raw } = establishedStream(role);
        let corpus = sessionCorpus(raw, random);
        for (let i = 0; i < BATCH; i++) {
          for (const piece of chunked(random, hostile(random, corpus))) machine.handleBytes(piece, addMs(START, i));
          expectGenuine(machine);
          framesFrom(machine);
          if (machine.state !== "closed") continue;
          ({ machine, raw } = establishedStream(role));
          corpus = sessionCorpus(raw, random);
        }
      });
    }
  },
);

test("any datagrams leave a client's handshake waiting, never establish it, never throw", () => {
  const corpus = handshakeCorpus();
  for (const random of batches(20_000, BATCH)) {
    withSeed(random.seed, () => {
      const machine = newDatagramClient();
      for (let i = 0; i < BATCH; i++) {
        const now = addMs(START, i * 20);
        machine.handleDatagram(hostile(random, corpus), SERVER_ADDRESS, now);
        if (random.chance(0.1)) machine.handleTimeout(now);
        expect(machine.state).toBe("handshaking");
        expectNoSession(eventsFrom(machine));
        datagramsFrom(machine);
      }
    });
  }
});

test.each(ROLES)(
  "any datagrams leave a %s's session alive but for a BYE that was sealed, and deliver nothing that was not",
  (role) => {
    for (const random of batches(20_000, BATCH)) {
      withSeed(random.seed, () => {
        const { machine, raw, give } = establishedDatagram(role);
        const corpus = sessionCorpus(raw, random);
        for (let i = 0; i < BATCH && machine.state !== "closed"; i++) {
          const now = addMs(START, i * 10);
          give(hostile(random, corpus), now, random.chance(0.2) && role === "server" ? OTHER_ADDRESS : undefined);
          if (random.chance(0.1)) machine.handleTimeout(now);
          const closed = expectGenuine(machine).find(({ type }) => type === "closed");
          if (closed?.type === "closed") expect(closed.reason).toEqual({ code: "closed-by-peer" });
          datagramsFrom(machine);
        }
      });
    }
  },
);

test("any datagrams leave an endpoint with bounded state, its live session untouched, and answers of at most 1.6 times their bytes", () => {
  for (const random of batches(20_000, BATCH)) {
    withSeed(random.seed, () => {
      const endpoint = newEndpoint({ server: { limits: { handshakes: 8 } } });
      const { machine, raw } = establishedDatagramServer({ endpoint });
      const corpus = [...handshakeCorpus(), ...sessionCorpus(raw, random).filter((frame) => frame[3] !== 8)];
      datagramsFrom(endpoint);
      for (let i = 0; i < BATCH; i++) {
        const now: Instant = addMs(START, i * 10);
        const stranger = { key: `203.0.113.${random.int(50)}:${random.int(50)}` };
        const input = hostile(random, corpus);
        const touched = endpoint.handleDatagram(input, random.chance(0.2) ? CLIENT_ADDRESS : stranger, now);
        const answers = datagramsFrom(endpoint);
        expect(bytesIn(answers.map(({ data }) => data))).toBeLessThanOrEqual(input.length * 1.6);
        for (const connection of touched) expectGenuine(connection);
        expect(endpoint.handshakeCount).toBeLessThanOrEqual(8);
        expect(endpoint.sessionCount).toBe(1);
        expect(machine.state).toBe("established");
      }
    });
  }
});

/** Frames of handshakes that others have had, with the very key: none is good for the machine at hand. */
function handshakeCorpus(): Uint8Array[] {
  const client = new RawClient();
  const server = new RawServer();
  const hello = client.hello();
  const challenge = server.challenge(hello);
  const ack = client.answer(challenge);
  const sessionOk = server.sessionOk();
  const cookie = new SeededRandom(7).bytes(16);
  const utacks = [1, 2, 3, 4, 10].map((type) => encodeUtack(type, 0));
  return [hello, client.hello(cookie), challenge, ack, sessionOk, ...utacks];
}

const GENUINE = "genuine";

/** Sealed frames of the session, UTACKs for frames it may have sent, and handshake frames out of time. */
function sessionCorpus(raw: RawSession, random: SeededRandom): Uint8Array[] {
  const text = new TextEncoder().encode(GENUINE);
  const frames = [0, 1, 2, 3, 7, 200].flatMap((seq) => [
    raw.seal("DATA", seq, text),
    raw.seal("PING", seq),
    raw.seal("PONG", seq),
    raw.seal("REKEY", seq, random.bytes(random.chance(0.8) ? 32 : 5)),
  ]);
  return [...frames, raw.seal("BYE", 5), ...[5, 6, 7].map((type) => encodeUtack(type, 0)), ...handshakeCorpus()];
}

/** Delivered messages are those that were sealed: whole copies of the one text. Answers all events. */
function expectGenuine(connection: Connection): ConnectionEvent[] {
  const events = eventsFrom(connection);
  for (const event of events) {
    if (event.type === "message") expect(Buffer.from(event.data).toString()).toBe(GENUINE);
  }
  return events;
}

function expectNoSession(events: readonly ConnectionEvent[]): void {
  expect(events.filter(({ type }) => type === "established" || type === "message")).toEqual([]);
}

function chunked(random: SeededRandom, bytes: Uint8Array): Uint8Array[] {
  if (bytes.length < 2 || random.chance(0.5)) return [bytes];
  const at = random.between(1, bytes.length - 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

function bytesIn(frames: readonly Uint8Array[]): number {
  return frames.reduce((sum, { length }) => sum + length, 0);
}
