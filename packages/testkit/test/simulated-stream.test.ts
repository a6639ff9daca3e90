import { instant } from "@usmp/protocol";
import { type LinkEvent, SeededRandom, type StreamConditions, StreamLink } from "@usmp/testkit";
import { describe, expect, test } from "vitest";

const START = instant(0);
const END_OF_TIME = instant(1e9);

describe("a stream link", () => {
  test("gives chunks as they were written unless told otherwise, after the latency", () => {
    const link = linkWith({ latencyMs: 7 });
    link.send("client-to-server", new Uint8Array(3), START);
    link.send("client-to-server", new Uint8Array(5), START);
    expect(link.nextDeliveryAt()).toBe(7);
    expect(link.deliver(instant(6))).toEqual([]);
    expect(link.deliver(instant(7)).map(({ bytes }) => bytes.length)).toEqual([3, 5]);
    expect(link.nextDeliveryAt()).toBeUndefined();
  });

  test("gives single bytes when asked", () => {
    const link = linkWith({ chunks: "bytes" });
    link.send("server-to-client", Uint8Array.of(1, 2, 3), START);
    expect(link.deliver(START).map(({ bytes }) => [...bytes])).toEqual([[1], [2], [3]]);
  });

  test("cuts and joins at random, yet loses, doubles and reorders nothing, with any latency", () => {
    const link = linkWith({ chunks: "random", latencyMs: 5, jitterMs: 50 });
    const random = new SeededRandom(2);
    const writes = Array.from({ length: 200 }, () => random.bytes(random.between(1, 2000)));
    for (const [i, write] of writes.entries()) link.send("client-to-server", write, instant(i));
    const deliveries = link.deliver(END_OF_TIME);
    const times = deliveries.map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const chunks = deliveries.map(({ bytes }) => bytes);
    expect(Buffer.concat(chunks).equals(Buffer.concat(writes))).toBe(true);
    const lengths = chunks.map((chunk) => chunk.length);
    expect(Math.min(...lengths)).toBeLessThan(12);
    expect(Math.max(...lengths)).toBeGreaterThan(1700);
  });

  test("keeps both directions apart, and repeats itself for the same seed", () => {
    const run = (seed: number): unknown => {
      const link = linkWith({ chunks: "random", jitterMs: 5 }, seed);
      link.send("client-to-server", new Uint8Array(3000).fill(1), START);
      link.send("server-to-client", new Uint8Array(3000).fill(2), START);
      const deliveries = link.deliver(END_OF_TIME);
      for (const { direction, bytes } of deliveries) {
        expect(bytes.every((byte) => byte === (direction === "client-to-server" ? 1 : 2))).toBe(true);
      }
      return deliveries;
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  test("delivers the end behind the last byte, once, and takes nothing after it", () => {
    const link = linkWith({ latencyMs: 5, jitterMs: 20 });
    link.send("client-to-server", new Uint8Array(4), START);
    link.end("client-to-server", START);
    link.end("client-to-server", START);
    expect(link.deliver(END_OF_TIME).map(({ bytes, ended }) => [bytes.length, ended])).toEqual([
      [4, false],
      [0, true],
    ]);
    expect(() => link.send("client-to-server", new Uint8Array(1), START)).toThrow("after the end of that direction");
  });

  test("damages as often as asked, and shows its tap what was sent and what came", () => {
    const events: LinkEvent[] = [];
    const link = linkWith({ damage: 0.3 }, 1, (event) => events.push(event));
    for (let i = 0; i < 1000; i++) link.send("client-to-server", new Uint8Array(10), START);
    const hit = link.deliver(END_OF_TIME).filter(({ bytes }) => bytes.some((byte) => byte !== 0)).length;
    expect(hit / 1000).toBeCloseTo(0.3, 1);
    expect(link.counts["client-to-server"]).toEqual({
      sent: 1000,
      delivered: 1000,
      damaged: hit,
      dropped: 0,
      duplicated: 0,
      injected: 0,
    });
    expect(events.filter(({ type }) => type === "sent").every(({ bytes }) => bytes.every((byte) => byte === 0))).toBe(
      true,
    );
  });
});

function linkWith(conditions: StreamConditions, seed = 1, tap?: (event: LinkEvent) => void): StreamLink {
  return new StreamLink({ random: new SeededRandom(seed), conditions, tap });
}
