import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { Gate } from "../../src/fairness/gate.ts";
import { parseLimits } from "../../src/fairness/limits.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  cookieFor,
  datagramsFrom,
  newEndpoint,
  sentTypes,
} from "../support/datagrams.ts";
import { after, START, testPsk } from "../support/fixtures.ts";
import { RawClient, tampered } from "../support/raw-peer.ts";
import { closeReason } from "../support/streams.ts";

describe("a HELLO without cookie", () => {
  it("beyond the rate of all sources gets nothing, and what was given stays given", () => {
    const endpoint = newEndpoint({ server: { limits: { cookiesPerSecond: 10 } } });
    for (let i = 0; i < 20; i++) endpoint.handleDatagram(new RawClient().hello(), { key: `spoofed ${i}` }, START);
    expect(datagramsFrom(endpoint)).toHaveLength(10);
    expect(endpoint.counters.dropped("cookie-limited")).toBe(10);
    expect(cookieFor(endpoint, new RawClient(), CLIENT_ADDRESS, after(100))).toHaveLength(16);
  });
});

describe("a HELLO that brings its cookie back", () => {
  it("gets no SESSION_OK when there is no room for a session of this device, however good its proof", () => {
    const asked: Uint8Array[] = [];
    const hasRoom = (deviceId: Uint8Array) => {
      asked.push(deviceId);
      return false;
    };
    const endpoint = newEndpoint({ server: { hasRoom } });
    const peer = new RawClient();
    const { machine, challenge } = challengedServer(endpoint, peer);
    machine.provideKeys([testPsk()], START);
    endpoint.handleDatagram(tampered(peer.answer(challenge), 20), CLIENT_ADDRESS, START);
    expect(asked, "room is a question of those who proved the key").toEqual([]);
    endpoint.handleDatagram(peer.answer(challenge), CLIENT_ADDRESS, START);
    expect(asked).toEqual([peer.deviceId]);
    expect(closeReason(machine)).toEqual({ code: "server-full" });
    expect(sentTypes(machine)).toEqual([]);
    expect(endpoint.handshakeCount + endpoint.sessionCount).toBe(0);
  });

  it("gets nothing, and costs no key pair, when its source has begun more than a stranger may; the driver hears of it", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const turnedAway: unknown[] = [];
    const limits = {
      newcomersPerSecond: 1,
      newcomersPerSourcePerSecond: 1,
      newcomersPerSourceBurst: 1,
      overdueNewcomersPerSecond: 1,
    };
    const endpoint = newEndpoint({
      server: { crypto: provider, limits, onTurnedAway: (deviceId, from) => turnedAway.push([deviceId, from]) },
    });
    const from = (port: number) => ({ key: `198.51.100.7 ${port}`, host: "198.51.100.7" });
    const hellos = [1, 2, 3].map((port) => {
      const peer = new RawClient();
      return peer.hello(cookieFor(endpoint, peer, from(port), START));
    });
    reset();
    const begun = hellos.map((hello, i) => endpoint.handleDatagram(hello, from(i + 1), START).length);
    expect(begun).toEqual([1, 0, 0]);
    expect(calls.generateKeyPair).toBe(1);
    expect(endpoint.counters.dropped("rate-limited")).toBe(2);
    expect(turnedAway).toHaveLength(2);
    expect(turnedAway[0]).toEqual([new RawClient().deviceId, from(2)]);
    expect(endpoint.handleDatagram(hellos[1] as Uint8Array, from(2), after(1_001))).toHaveLength(1);
    const deaf = newEndpoint({ server: { limits } });
    for (let i = 0; i < 3; i++) {
      const peer = new RawClient();
      deaf.handleDatagram(peer.hello(cookieFor(deaf, peer, from(i), START)), from(i), START);
    }
    expect(deaf.counters.dropped("rate-limited")).toBe(2);
  });

  it("makes the oldest give way earlier than its own deadline when places are scarce", () => {
    const endpoint = newEndpoint({ server: { limits: { handshakes: 4 } } });
    const machines = [0, 1, 2].map((i) => challengedServer(endpoint, new RawClient(), { key: `${i}` }).machine);
    expect(endpoint.pollTimeout()).toBe(after(1_000));
    expect(endpoint.handleTimeout(after(999))).toEqual([]);
    expect(endpoint.handleTimeout(after(1_000))).toEqual(machines.slice(0, 1));
    expect(closeReason(machines[0] as (typeof machines)[0])).toEqual({ code: "evicted" });
    expect(endpoint.handshakeCount).toBe(2);
  });

  it("of a device that proved itself lately at its address never gives way to others", () => {
    const gate = new Gate(parseLimits({ handshakes: 8, reservedHandshakes: 1 }), START);
    const endpoint = newEndpoint({ server: { gate } });
    gate.noteProven(new RawClient().deviceId, CLIENT_ADDRESS.key, START);
    const { machine } = challengedServer(endpoint, new RawClient());
    for (let i = 0; i < 50; i++) challengedServer(endpoint, new RawClient(), { key: `${i}` });
    expect(machine.state).toBe("handshaking");
    expect(endpoint.handshakeCount).toBe(8);
  });
});
