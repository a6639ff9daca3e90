import { defaultCrypto } from "@usmp/crypto";
import { countingCrypto } from "@usmp/testkit";
import { describe, expect, it } from "vitest";
import { FrameType } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import {
  CLIENT_ADDRESS,
  challengedServer,
  datagramsFrom,
  newEndpoint,
  OTHER_ADDRESS,
  sent,
  sentTypes,
} from "../support/datagrams.ts";
import { after, START } from "../support/fixtures.ts";
import { RawClient } from "../support/raw-peer.ts";

describe("a HELLO without cookie", () => {
  it("gets HELLO_RETRY, and when that is acknowledged its own UTACK, and leaves no connection", () => {
    const endpoint = newEndpoint();
    expect(endpoint.handleDatagram(new RawClient().hello(), CLIENT_ADDRESS, START)).toEqual([]);
    expect(sentTypes(endpoint)).toEqual(["HELLO_RETRY"]);
    expect(endpoint.handleDatagram(encodeUtack(FrameType.HELLO_RETRY, 0), CLIENT_ADDRESS, START)).toEqual([]);
    const datagrams = datagramsFrom(endpoint);
    expect(datagrams).toEqual([{ data: encodeUtack(FrameType.HELLO, 0), to: CLIENT_ADDRESS }]);
    expect(endpoint.handshakeCount + endpoint.sessionCount).toBe(0);
    expect(endpoint.counters).toMatchObject({ framesReceived: 1, framesSent: 2 });
  });

  it("gets its UTACK when it comes again, and in any case after 1.6 s", () => {
    const endpoint = newEndpoint();
    const hello = new RawClient().hello();
    endpoint.handleDatagram(hello, CLIENT_ADDRESS, START);
    datagramsFrom(endpoint);
    endpoint.handleDatagram(hello, CLIENT_ADDRESS, after(500));
    expect(sentTypes(endpoint)).toEqual(["UTACK of HELLO", "HELLO_RETRY"]);
    endpoint.handleDatagram(hello, OTHER_ADDRESS, after(600));
    datagramsFrom(endpoint);
    endpoint.handleTimeout(after(2_199));
    expect(datagramsFrom(endpoint).filter(({ to }) => to === OTHER_ADDRESS)).toHaveLength(1);
    endpoint.handleTimeout(after(2_200));
    const others = datagramsFrom(endpoint).filter(({ to }) => to === OTHER_ADDRESS);
    expect(others.map(({ data }) => data.length)).toEqual([7]);
  });

  it("that was lost three times over gets both each time: the budget grows with what came", () => {
    const endpoint = newEndpoint();
    const hello = new RawClient().hello();
    for (const ms of [0, 500, 1_500, 3_500]) endpoint.handleDatagram(hello, CLIENT_ADDRESS, after(ms));
    expect(sentTypes(endpoint).slice(-4)).toEqual(["UTACK of HELLO", "HELLO_RETRY", "UTACK of HELLO", "HELLO_RETRY"]);
  });

  it("gets one more HELLO_RETRY after a second, the same one, in case the first was lost", () => {
    const endpoint = newEndpoint();
    endpoint.handleDatagram(new RawClient().hello(), CLIENT_ADDRESS, START);
    const [first] = sent(endpoint).frames;
    expect(endpoint.pollTimeout()).toBe(after(1_000));
    endpoint.handleTimeout(after(999));
    expect(datagramsFrom(endpoint)).toEqual([]);
    endpoint.handleTimeout(after(1_000));
    expect(datagramsFrom(endpoint)).toEqual([{ data: first, to: CLIENT_ADDRESS }]);
    for (const ms of [2_000, 3_000, 4_000]) endpoint.handleTimeout(after(ms));
    expect(endpoint.pollTimeout()).toBeUndefined();
  });

  it("gets no second HELLO_RETRY once its cookie came back", () => {
    const endpoint = newEndpoint();
    challengedServer(endpoint, new RawClient());
    endpoint.handleTimeout(after(1_000));
    expect(datagramsFrom(endpoint)).toEqual([]);
  });

  it("gets at most 1.6 times its own bytes, over all that follows", () => {
    const endpoint = newEndpoint();
    for (let i = 0; i < 100; i++) {
      endpoint.handleDatagram(new RawClient().hello(), { key: `spoofed ${i}` }, after(i));
    }
    for (let ms = 0; ms <= 60_000; ms += 500) endpoint.handleTimeout(after(ms));
    const bytesOut = datagramsFrom(endpoint).reduce((sum, { data }) => sum + data.length, 0);
    expect(bytesOut).toBe(100 * (28 + 28 + 7 + 7 + 7));
    expect(bytesOut / endpoint.counters.bytesReceived).toBeLessThanOrEqual(1.6);
    expect(endpoint.counters.bytesSent).toBe(bytesOut);
  });

  it("costs one HMAC, and no key pair or random number", () => {
    const { provider, calls, reset } = countingCrypto(defaultCrypto());
    const endpoint = newEndpoint({ server: { crypto: provider } });
    reset();
    endpoint.handleDatagram(new RawClient().hello(), CLIENT_ADDRESS, START);
    expect(calls).toMatchObject({ hmacSha256: 1, generateKeyPair: 0, randomFill: 0 });
  });

  it("in a flood from 50,000 sources leaves at most 1,024 second HELLO_RETRYs", () => {
    const endpoint = newEndpoint();
    const hello = new RawClient().hello();
    for (let i = 0; i < 50_000; i++) {
      endpoint.handleDatagram(hello, { key: `spoofed ${i}` }, START);
      datagramsFrom(endpoint);
    }
    endpoint.handleTimeout(after(1_000));
    expect(datagramsFrom(endpoint)).toHaveLength(1_024);
    endpoint.handleDatagram(hello, CLIENT_ADDRESS, after(1_000));
    expect(sentTypes(endpoint)).toEqual(["UTACK of HELLO", "HELLO_RETRY"]);
  });
});
