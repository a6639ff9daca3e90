import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { encodeFrame, FrameType } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  cookieFor,
  datagramsFrom,
  describe as describeDatagram,
  establishedDatagramServer,
  newEndpoint,
  OTHER_ADDRESS,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { after, filled, OTHER_DEVICE_ID, START, testPsk } from "../support/fixtures.ts";
import { FRAME_TYPES, sampleFrame } from "../support/outcomes.ts";
import { payloadOfBytes, RawClient, tampered } from "../support/raw-peer.ts";
import { closeReason, eventsFrom } from "../support/streams.ts";

describe("a HELLO gets no byte back", () => {
  const silent = (datagram: (cookie: Uint8Array, peer: RawClient) => Uint8Array, from = CLIENT_ADDRESS, ms = 0) => {
    const endpoint = newEndpoint();
    const peer = new RawClient();
    const cookie = cookieFor(endpoint, peer, CLIENT_ADDRESS, START);
    expect(endpoint.handleDatagram(datagram(cookie, peer), from, after(ms))).toEqual([]);
    expect(datagramsFrom(endpoint)).toEqual([]);
    expect(endpoint.handshakeCount).toBe(0);
    return endpoint.counters;
  };

  it("with a wrong cookie", () => {
    expect(silent((_, peer) => peer.hello(filled(16, 1))).dropped("bad-cookie")).toBe(1);
  });

  it("with a cookie of another address or port", () => {
    expect(silent((cookie, peer) => peer.hello(cookie), OTHER_ADDRESS).dropped("bad-cookie")).toBe(1);
  });

  it("with a cookie of another device id or public key", () => {
    const otherId = (cookie: Uint8Array, peer: RawClient) =>
      new RawClient({ deviceId: OTHER_DEVICE_ID, publicKey: peer.publicKey }).hello(cookie);
    expect(silent(otherId).dropped("bad-cookie")).toBe(1);
    expect(silent((cookie) => new RawClient().hello(cookie)).dropped("bad-cookie")).toBe(1);
  });

  it("with a cookie that is over 60 s old", () => {
    expect(silent((cookie, peer) => peer.hello(cookie), CLIENT_ADDRESS, 60_000).dropped("bad-cookie")).toBe(1);
  });

  it("with a bad CRC, another version, or another length", () => {
    const badCrc = (cookie: Uint8Array, peer: RawClient) => {
      const hello = peer.hello(cookie);
      hello[20] = (hello[20] as number) ^ 1;
      return hello;
    };
    expect(silent(badCrc).dropped("bad-crc")).toBe(1);
    expect(silent((_, peer) => tampered(peer.hello(), 2)).dropped("unsupported-version")).toBe(1);
    expect(silent(() => encodeFrame(FrameType.HELLO, 0, filled(39, 0))).dropped("bad-length")).toBe(1);
  });

  it("with a second frame or junk behind it", () => {
    const doubled = (_: Uint8Array, peer: RawClient) => Uint8Array.from([...peer.hello(), ...peer.hello()]);
    expect(silent(doubled).dropped("trailing-bytes")).toBe(1);
    expect(silent((_, peer) => Uint8Array.from([...peer.hello(), 0])).dropped("trailing-bytes")).toBe(1);
  });
});

describe("a HELLO that brings its cookie back", () => {
  it("gets UTACK and CHALLENGE, and opens one handshake however often it comes", () => {
    const endpoint = newEndpoint();
    const peer = new RawClient();
    const hello = peer.hello(cookieFor(endpoint, peer, CLIENT_ADDRESS, START));
    const [machine] = endpoint.handleDatagram(hello, CLIENT_ADDRESS, START);
    expect(machine && sentTypes(machine)).toEqual(["CHALLENGE", "UTACK of HELLO"]);
    for (let i = 0; i < 10_000; i++) {
      expect(endpoint.handleDatagram(hello, CLIENT_ADDRESS, START)).toEqual([machine]);
    }
    expect(endpoint.handshakeCount).toBe(1);
    expect(machine && eventsFrom(machine)).toHaveLength(1);
  });

  it("makes the oldest handshake give way when there are too many", () => {
    const endpoint = newEndpoint({ server: { limits: { handshakes: 2 } } });
    const machines = [0, 1, 2].map((i) => challengedServer(endpoint, new RawClient(), { key: `${i}` }).machine);
    expect(machines.map(({ state }) => state)).toEqual(["closed", "handshaking", "handshaking"]);
    expect(closeReason(machines[0] as (typeof machines)[0])).toEqual({ code: "evicted" });
    expect(endpoint.handshakeCount).toBe(2);
  });

  it("makes the oldest of four handshakes from its own address give way, and none of others", () => {
    const endpoint = newEndpoint();
    const other = challengedServer(endpoint, new RawClient(), OTHER_ADDRESS).machine;
    const machines = [0, 1, 2, 3, 4].map(() => challengedServer(endpoint, new RawClient()).machine);
    expect(machines.map(({ state }) => state)).toEqual(["closed", ...Array.from({ length: 4 }, () => "handshaking")]);
    expect(other.state).toBe("handshaking");
  });

  it("that was captured and comes again 10,000 times never disturbs the live session of its address", () => {
    const endpoint = newEndpoint();
    const peer = new RawClient();
    const { machine, raw } = establishedDatagramServer({ endpoint, peer });
    const hello = peer.hello(cookieFor(endpoint, peer, CLIENT_ADDRESS, START));
    for (let i = 0; i < 10_000; i++) {
      endpoint.handleDatagram(hello, CLIENT_ADDRESS, after(i));
      datagramsFrom(machine);
    }
    expect([endpoint.handshakeCount, endpoint.sessionCount]).toEqual([0, 1]);
    endpoint.handleDatagram(raw.seal("DATA", 0, filled(3, 1)), CLIENT_ADDRESS, after(10_000));
    expect(eventsFrom(machine)).toContainEqual({ type: "message", data: filled(3, 1) });
  });

  it("of another client behind the same address leaves the session there alone", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    challengedServer(endpoint, new RawClient({ deviceId: OTHER_DEVICE_ID }));
    endpoint.handleDatagram(raw.seal("DATA", 0), CLIENT_ADDRESS, START);
    expect(eventsFrom(machine).map(({ type }) => type)).toEqual(["proven", "message"]);
  });
});

describe("many handshakes from one address", () => {
  it("each find their HELLO_ACK, and neither disturbs the other", () => {
    const endpoint = newEndpoint();
    const peers = [new RawClient(), new RawClient({ deviceId: OTHER_DEVICE_ID }), new RawClient()];
    const begun = peers.map((peer) => ({ peer, ...challengedServer(endpoint, peer) }));
    for (const { machine } of begun) machine.provideKeys([testPsk()], START);
    for (const { peer, machine, challenge } of begun) {
      endpoint.handleDatagram(peer.answer(challenge), CLIENT_ADDRESS, START);
      expect(machine.state).toBe("established");
    }
    expect([endpoint.handshakeCount, endpoint.sessionCount]).toEqual([0, 3]);
  });

  it("a HELLO_ACK that fits none is counted by each, and one from nowhere by the endpoint", () => {
    const endpoint = newEndpoint();
    const { machine } = challengedServer(endpoint, new RawClient());
    machine.provideKeys([testPsk()], START);
    const stray = encodeFrame(FrameType.HELLO_ACK, 2, filled(32, 1));
    expect(endpoint.handleDatagram(stray, CLIENT_ADDRESS, START)).toEqual([machine]);
    expect(machine.counters.dropped("bad-proof")).toBe(1);
    expect(endpoint.handleDatagram(stray, OTHER_ADDRESS, START)).toEqual([]);
    expect(endpoint.counters.dropped("no-session")).toBe(1);
  });
});

describe("an endpoint", () => {
  it.each(FRAME_TYPES.filter((type) => type !== "HELLO"))("with no session drops a %s and sends nothing", (type) => {
    const endpoint = newEndpoint();
    expect(endpoint.handleDatagram(sampleFrame(type, undefined), CLIENT_ADDRESS, START)).toEqual([]);
    expect(datagramsFrom(endpoint)).toEqual([]);
    expect(endpoint.counters.drops.size).toBe(1);
  });

  it("drops session frames that are too short to carry a route", () => {
    const endpoint = newEndpoint();
    endpoint.handleDatagram(encodeFrame(FrameType.DATA, 0, filled(27, 0)), CLIENT_ADDRESS, START);
    expect(endpoint.counters.dropped("bad-length")).toBe(1);
  });

  it("drops UTACKs that fit nothing, and malformed ones", () => {
    const { endpoint } = establishedDatagramServer();
    endpoint.handleDatagram(encodeUtack(FrameType.SESSION_OK, 0), OTHER_ADDRESS, START);
    endpoint.handleDatagram(encodeUtack(FrameType.CHALLENGE, 0), CLIENT_ADDRESS, START);
    endpoint.handleDatagram(filled(4, 0xac), CLIENT_ADDRESS, START);
    expect(endpoint.counters.dropped("unmatched-utack")).toBe(3);
  });

  it("makes no crypto call for 1,000,000 datagrams of a bad CRC, handshake included", () => {
    const { provider, total, reset } = countingCrypto(defaultCrypto());
    const { endpoint, raw, peer } = establishedDatagramServer({ server: { crypto: provider } });
    const bad = [...FRAME_TYPES.map((type) => sampleFrame(type, raw)), peer.hello(filled(16, 1))];
    for (const datagram of bad) datagram[10] = (datagram[10] as number) ^ 1;
    reset();
    for (let i = 0; i < 1_000_000; i++)
      endpoint.handleDatagram(bad[i % bad.length] as Uint8Array, CLIENT_ADDRESS, START);
    expect(total()).toBe(0);
    expect(endpoint.counters.dropped("bad-crc")).toBe(1_000_000);
    expect(datagramsFrom(endpoint)).toEqual([]);
  });

  it("draws another session id when its route is taken", () => {
    const taken = filled(16, 0x11);
    const ids = [taken, taken, filled(16, 0x22)];
    const provider = {
      ...methods(defaultCrypto()),
      randomFill(out: Uint8Array) {
        if (out.length === 16) out.set(ids.shift() as Uint8Array);
        else defaultCrypto().randomFill(out);
      },
    };
    const endpoint = newEndpoint({ server: { crypto: provider } });
    const sessionIds = [CLIENT_ADDRESS, OTHER_ADDRESS].map((from) => {
      const { raw } = establishedDatagramServer({ endpoint, from });
      return raw.sessionId;
    });
    expect(sessionIds).toEqual([taken, filled(16, 0x22)]);
  });

  it("issues nothing any more after wipe()", () => {
    const endpoint = newEndpoint();
    endpoint.wipe();
    expect(() => endpoint.handleDatagram(new RawClient().hello(), CLIENT_ADDRESS, START)).toThrow(
      expect.objectContaining({ code: "secret-wiped" }),
    );
  });
});

describe("a BYE that comes again after the end", () => {
  it("is acknowledged as it was the first time, for 10 s", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    const bye = raw.seal("BYE", 0);
    endpoint.handleDatagram(bye, CLIENT_ADDRESS, START);
    expect(closeReason(machine)).toEqual({ code: "closed-by-peer" });
    const utack = raw.expectedUtack("BYE", 0);
    expect(sent(machine).utacks).toEqual([utack]);
    expect(endpoint.sessionCount).toBe(0);

    endpoint.handleDatagram(bye, CLIENT_ADDRESS, after(9_999));
    expect(datagramsFrom(endpoint)).toEqual([{ data: utack, to: CLIENT_ADDRESS }]);
    expect(endpoint.pollTimeout()).toBe(after(10_000));
    endpoint.handleTimeout(after(9_999));
    endpoint.handleTimeout(after(10_000));
    endpoint.handleDatagram(bye, CLIENT_ADDRESS, after(10_001));
    expect(datagramsFrom(endpoint)).toEqual([]);
    expect(endpoint.counters.dropped("no-session")).toBe(1);
  });

  it("is not acknowledged when a byte of it is different, nor is anything else of that session", () => {
    const { endpoint, raw } = establishedDatagramServer();
    const bye = raw.seal("BYE", 0);
    endpoint.handleDatagram(bye, CLIENT_ADDRESS, START);
    endpoint.handleDatagram(tampered(bye, 30), CLIENT_ADDRESS, START);
    endpoint.handleDatagram(raw.seal("DATA", 1), CLIENT_ADDRESS, START);
    expect(datagramsFrom(endpoint)).toEqual([]);
    expect(endpoint.counters.dropped("no-session")).toBe(2);
  });

  it("is remembered for 1,024 sessions", () => {
    const endpoint = newEndpoint({ server: { limits: { newcomersPerSourceBurst: 2_000 } } });
    const byes = Array.from({ length: 1_025 }, () => {
      const { raw } = establishedDatagramServer({ endpoint });
      const bye = raw.seal("BYE", 0);
      endpoint.handleDatagram(bye, CLIENT_ADDRESS, START);
      return bye;
    });
    datagramsFrom(endpoint);
    for (const bye of byes) endpoint.handleDatagram(bye, CLIENT_ADDRESS, START);
    expect(datagramsFrom(endpoint)).toHaveLength(1_024);
  });
});

describe("a peer that moves", () => {
  it("is followed to the address of an authentic frame that is the newest, and answered there", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    endpoint.handleDatagram(raw.seal("DATA", 0), OTHER_ADDRESS, START);
    const moved = { type: "moved", from: CLIENT_ADDRESS, to: OTHER_ADDRESS, proven: false };
    expect(eventsFrom(machine)).toContainEqual(moved);
    expect(machine.address).toBe(OTHER_ADDRESS);
    machine.send(filled(1, 1), START);
    const probes = datagramsFrom(machine);
    expect(probes.map(({ data }) => describeDatagram(data))).toEqual(["UTACK of DATA", "PING"]);
    endpoint.handleDatagram(raw.utack(probes.at(-1)?.data as Uint8Array), OTHER_ADDRESS, START);
    expect(eventsFrom(machine)).toEqual([{ type: "path-proven", from: CLIENT_ADDRESS, address: OTHER_ADDRESS }]);
    const frames = datagramsFrom(machine);
    expect([...probes, ...frames].every(({ to }) => to === OTHER_ADDRESS)).toBe(true);
    endpoint.handleDatagram(raw.utack(frames.at(-1)?.data as Uint8Array), OTHER_ADDRESS, START);
    expect(eventsFrom(machine)).toContainEqual({ type: "acknowledged", id: 0 });
  });

  it("is not moved back by an old frame, a duplicate, or a forged one", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    const first = raw.seal("DATA", 0);
    endpoint.handleDatagram(first, CLIENT_ADDRESS, START);
    endpoint.handleDatagram(raw.seal("DATA", 5), OTHER_ADDRESS, START);
    eventsFrom(machine);
    endpoint.handleDatagram(raw.seal("DATA", 3), CLIENT_ADDRESS, START);
    endpoint.handleDatagram(first, CLIENT_ADDRESS, START);
    endpoint.handleDatagram(tampered(raw.seal("DATA", 6), 30), CLIENT_ADDRESS, START);
    expect(machine.address).toBe(OTHER_ADDRESS);
    expect(eventsFrom(machine).filter(({ type }) => type === "moved")).toEqual([]);
  });

  it("whose frames are declined is followed only when it was silent at its old address for 15 s", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    machine.pauseReceiving();
    const declined = raw.seal("DATA", 0);
    endpoint.handleDatagram(declined, OTHER_ADDRESS, after(14_999));
    expect(machine.address).toBe(CLIENT_ADDRESS);
    endpoint.handleDatagram(raw.seal("PONG", 1), CLIENT_ADDRESS, after(15_000));
    endpoint.handleDatagram(raw.seal("DATA", 2), OTHER_ADDRESS, after(29_999));
    expect(machine.address).toBe(CLIENT_ADDRESS);
    endpoint.handleDatagram(declined, OTHER_ADDRESS, after(40_000));
    expect(machine.address).toBe(CLIENT_ADDRESS);
    endpoint.handleDatagram(raw.seal("DATA", 2), OTHER_ADDRESS, after(40_000));
    expect(machine.address).toBe(OTHER_ADDRESS);
  });

  it("may move at every frame, and loses nothing", () => {
    const { endpoint, machine, raw } = establishedDatagramServer();
    for (let seq = 0; seq < 60; seq++) {
      endpoint.handleDatagram(raw.seal("DATA", seq), { key: `port ${seq}` }, after(seq * 1_000));
    }
    expect(eventsFrom(machine).filter(({ type }) => type === "message")).toHaveLength(60);
    machine.abort();
    expect(endpoint.sessionCount).toBe(0);
  });

  it("leaves the place of another session at its old address untouched", () => {
    const endpoint = newEndpoint();
    const one = establishedDatagramServer({ endpoint });
    const two = establishedDatagramServer({ endpoint, peer: new RawClient({ deviceId: OTHER_DEVICE_ID }) });
    endpoint.handleDatagram(one.raw.seal("DATA", 0), OTHER_ADDRESS, START);
    two.machine.send(filled(1, 1), START);
    const frame = sent(two.machine).frames.at(-1) as Uint8Array;
    endpoint.handleDatagram(two.raw.utack(frame), CLIENT_ADDRESS, START);
    expect(eventsFrom(two.machine)).toContainEqual({ type: "acknowledged", id: 0 });
    expect(payloadOfBytes(frame)).toHaveLength(29);
  });
});

/** The methods of a provider, whose own are on its prototype. */
function methods(crypto: CryptoProvider): CryptoProvider {
  return {
    name: crypto.name,
    randomFill: (out) => crypto.randomFill(out),
    generateKeyPair: () => crypto.generateKeyPair(),
    importKeyPair: (key) => crypto.importKeyPair(key),
    hmacSha256: (key, parts) => crypto.hmacSha256(key, parts),
    deriveTrafficKeys: (request) => crypto.deriveTrafficKeys(request),
    importTrafficKeys: (...parameters) => crypto.importTrafficKeys(...parameters),
  };
}
