import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  cookieFor,
  establishedDatagramServer,
  newEndpoint,
  OTHER_ADDRESS,
  sent,
} from "../support/datagrams.ts";
import { filled, START, testPsk } from "../support/fixtures.ts";
import { RawClient } from "../support/raw-peer.ts";

/** One of several endpoints behind a port, and what it could not route. */
function shard(taken = true) {
  const unrouted: [string, number, string][] = [];
  const endpoint = newEndpoint({
    server: {
      onUnrouted: (by, datagram, from) => {
        unrouted.push([by, datagram.length, from.key]);
        return taken;
      },
    },
  });
  return { endpoint, unrouted };
}

/** A session frame, a proof and a UTACK that no session of this endpoint waits for. */
function strays(): readonly Uint8Array[] {
  const { raw } = establishedDatagramServer();
  return [
    raw.seal("DATA", 0, filled(10, 1)),
    encodeFrame(FrameType.HELLO_ACK, 2, filled(32, 1)),
    encodeUtack(FrameType.SESSION_OK, 0),
  ];
}

describe("an endpoint that is one of several", () => {
  it("offers what nothing in it waits for, by session id or by address, and does not count as dropped what was taken", () => {
    const { endpoint, unrouted } = shard();
    for (const stray of strays()) expect(endpoint.handleDatagram(stray, OTHER_ADDRESS, START)).toEqual([]);
    expect(unrouted).toEqual([
      ["session-id", 50, OTHER_ADDRESS.key],
      ["address", 44, OTHER_ADDRESS.key],
      ["address", 7, OTHER_ADDRESS.key],
    ]);
    expect(endpoint.counters.drops.size).toBe(0);
  });

  it("drops and counts what the others do not take either", () => {
    const { endpoint, unrouted } = shard(false);
    for (const stray of strays()) endpoint.handleDatagram(stray, OTHER_ADDRESS, START);
    expect(unrouted).toHaveLength(3);
    expect([endpoint.counters.dropped("no-session"), endpoint.counters.dropped("unmatched-utack")]).toEqual([2, 1]);
  });

  it("offers nothing that is malformed, and nothing that is its own", () => {
    const { endpoint, unrouted } = shard();
    endpoint.handleDatagram(filled(4, 0xac), OTHER_ADDRESS, START);
    endpoint.handleDatagram(encodeFrame(FrameType.DATA, 0, filled(27, 0)), OTHER_ADDRESS, START);
    endpoint.handleDatagram(filled(60, 7), OTHER_ADDRESS, START);
    const { raw, give } = establishedDatagramServer({ endpoint });
    give(raw.seal("DATA", 0, filled(10, 1)), START);
    expect(unrouted).toEqual([]);
  });

  it("draws session ids until one is its own", () => {
    const drawn: number[] = [];
    const ownsSessionId = (sessionId: Uint8Array): boolean => {
      drawn.push(sessionId[0] as number);
      return (sessionId[0] as number) % 2 === 1;
    };
    const endpoint = newEndpoint({ server: { ownsSessionId } });
    for (let i = 0; i < 32; i++) {
      const { machine } = establishedDatagramServer({ endpoint, from: { key: `198.51.100.7 ${i}` } });
      expect(machine.state).toBe("established");
    }
    expect(endpoint.sessionCount).toBe(32);
    expect(drawn.filter((byte) => byte % 2 === 1)).toHaveLength(32);
    expect(drawn.length).toBeGreaterThan(32);
  });

  it("takes the cookie that another one issued, once they share their secrets", () => {
    const [one, other] = [newEndpoint(), newEndpoint()];
    const peer = new RawClient();
    const alien = peer.hello(cookieFor(one, peer, CLIENT_ADDRESS, START));
    expect(other.handleDatagram(alien, CLIENT_ADDRESS, START)).toEqual([]);
    expect(other.counters.dropped("bad-cookie")).toBe(1);
    for (const endpoint of [one, other]) {
      endpoint.shareCookieSecrets(new Secret(filled(32, 1)), new Secret(filled(32, 2)), START);
    }
    const shared = peer.hello(cookieFor(one, peer, CLIENT_ADDRESS, START));
    const [machine] = other.handleDatagram(shared, CLIENT_ADDRESS, START);
    machine?.provideKeys([testPsk()], START);
    expect(machine && sent(machine).frames).toHaveLength(1);
    expect(challengedServer(other, new RawClient(), OTHER_ADDRESS).machine.state).toBe("handshaking");
  });
});
