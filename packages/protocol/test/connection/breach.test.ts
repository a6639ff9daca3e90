import { describe, expect, it } from "vitest";
import type { Address, Breach } from "../../src/connection/events.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  newDatagramClient,
  newEndpoint,
  OTHER_ADDRESS,
} from "../support/datagrams.ts";
import { filled, START } from "../support/fixtures.ts";
import { RawClient, tampered } from "../support/raw-peer.ts";
import { establishedStreamServer, newStreamServer } from "../support/streams.ts";

const hello = (): Uint8Array => new RawClient().hello();
const HELLO = hello();
const TLS = Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1, 0xfc, 3, 3, 1);

/** A frame whose CRC is wrong. */
function damaged(frame: Uint8Array): Uint8Array {
  return frame.with(20, (frame[20] as number) ^ 1);
}

/** Where a server's stream broke that took `chunks`. */
function breachOf(...chunks: readonly Uint8Array[]): Breach | undefined {
  const server = newStreamServer();
  for (const chunk of chunks) server.handleBytes(chunk, START);
  return server.breach;
}

describe("where a stream broke the protocol", () => {
  it.each([
    ["another protocol", [TLS], 0, "16030102"],
    ["another protocol, byte by byte", [...TLS].map((byte) => Uint8Array.of(byte)), 0, "16030102"],
    ["version 1", [tampered(hello(), 2, 0x03)], 2, "cdab0101"],
    ["a type that does not exist", [encodeFrame(0x42 as FrameType, 0, filled(38, 1))], 3, ""],
    ["a frame out of turn", [hello(), encodeFrame(FrameType.SESSION_OK, 0, filled(48, 1))], 50 + 3, ""],
    ["a HELLO of another length", [encodeFrame(FrameType.HELLO, 0, filled(37, 1))], 8, ""],
    ["a damaged frame behind a good one", [hello(), damaged(hello())], 50 + 10, ""],
    ["the same in pieces", [HELLO.slice(0, 7), HELLO.slice(7, 44), HELLO.slice(44), TLS], 50, "16030102"],
  ])("is told of %s", (_, chunks, offset, head) => {
    expect(breachOf(...chunks)).toEqual({ offset, head: Uint8Array.from(Buffer.from(head, "hex")) });
  });

  it("is told in a session, too", () => {
    const { machine, raw } = establishedStreamServer();
    machine.handleBytes(raw.seal("PING", 1), START);
    expect(machine.breach).toEqual({ offset: 50 + 44 + 4, head: new Uint8Array(0) });
  });

  it("is nowhere while nothing is wrong, and never on datagrams, which are dropped", () => {
    expect(breachOf(hello())).toBeUndefined();
    expect(newDatagramClient().breach).toBeUndefined();
  });
});

describe("a datagram that is no frame", () => {
  const listening = () => {
    const told: { violation: string; offset: number; head: string; from: Address }[] = [];
    const endpoint = newEndpoint({
      server: {
        onMalformed: (violation, { offset, head }, from) =>
          told.push({ violation, offset, head: Buffer.from(head).toString("hex"), from }),
      },
    });
    return { endpoint, told };
  };

  it.each([
    ["another protocol's", TLS, "bad-magic", 0, "16030102"],
    ["another version's", tampered(hello(), 2, 0x03), "unsupported-version", 2, "cdab0101"],
    ["cut short", Uint8Array.of(0xcd, 0xab), "truncated", 0, "cdab"],
  ])("and %s is told with its beginning", (_, datagram, violation, offset, head) => {
    const { endpoint, told } = listening();
    endpoint.handleDatagram(datagram, OTHER_ADDRESS, START);
    expect(told).toEqual([{ violation, offset, head, from: OTHER_ADDRESS }]);
  });

  it("is only counted where a handshake or a session is: that is a damaged line, or an attacker", () => {
    const { endpoint, told } = listening();
    challengedServer(endpoint, new RawClient());
    endpoint.handleDatagram(TLS, CLIENT_ADDRESS, START);
    expect(told).toEqual([]);
    expect(endpoint.counters.dropped("bad-magic")).toBe(1);
  });
});
