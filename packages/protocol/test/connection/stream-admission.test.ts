import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { StreamServer } from "../../src/connection/stream-server.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { after, DEVICE_ID, otherTestPsk, START, serverConfig, testPsk } from "../support/fixtures.ts";
import { RawClient } from "../support/raw-peer.ts";
import { closeReason, eventsFrom, framesFrom, newStreamServer, onlyFrame } from "../support/streams.ts";

function challenged(peer = new RawClient(), server = newStreamServer()) {
  server.handleBytes(peer.hello(), START);
  return { server, peer, helloAck: peer.answer(onlyFrame(framesFrom(server))) };
}

describe("a server's stream handshake ends", () => {
  it("with its HELLO, before anything was spent on it, when the host does not admit it", () => {
    const { provider, total } = countingCrypto(defaultCrypto());
    const asked: Uint8Array[] = [];
    const admit = (deviceId: Uint8Array) => {
      asked.push(deviceId);
      return asked.length > 1;
    };
    const [turnedAway, taken] = [0, 1].map(() => {
      const server = new StreamServer(serverConfig({ crypto: provider }), { slab: new FrameSlab() }, START, { admit });
      server.handleBytes(new RawClient().hello(), START);
      if (asked.length === 1) expect(total()).toBe(0);
      return server;
    });
    expect(closeReason(turnedAway as StreamServer)).toEqual({ code: "rate-limited" });
    expect(eventsFrom(taken as StreamServer)).toEqual([{ type: "keys-needed", deviceId: DEVICE_ID }]);
  });

  it("without SESSION_OK when there is no room for a session, which is asked of good proofs alone", () => {
    const asked: Uint8Array[] = [];
    const hasRoom = (deviceId: Uint8Array) => {
      asked.push(deviceId);
      return false;
    };
    for (const candidate of [otherTestPsk(), testPsk()]) {
      const { server, helloAck } = challenged(new RawClient(), newStreamServer({ server: { hasRoom } }));
      server.provideKeys([candidate], START);
      server.handleBytes(helloAck, START);
      expect(framesFrom(server)).toEqual([]);
      const full = { code: "server-full" };
      expect(closeReason(server)).toEqual(
        asked.length === 0 ? { code: "authentication-failed", cause: "wrong-key" } : full,
      );
    }
    expect(asked).toEqual([DEVICE_ID]);
  });

  it("at the deadline for the application's look-up, which counts against nobody", () => {
    const { server, helloAck } = challenged();
    server.handleBytes(helloAck, START);
    server.handleTimeout(after(10_000));
    expect(closeReason(server)).toEqual({ code: "handshake-timeout", awaiting: "keys" });
  });
});
