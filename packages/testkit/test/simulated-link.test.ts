import { type Instant, instant } from "@usmp/protocol";
import { type DatagramConditions, DatagramLink, type Fate, type LinkEvent, SeededRandom } from "@usmp/testkit";
import { describe, expect, test } from "vitest";

const START = instant(0);
const END_OF_TIME = instant(1e9);
const COUNT = 10_000;

describe("a datagram link", () => {
  test("delivers everything unchanged and in order when no condition is set", () => {
    const link = new DatagramLink({ random: new SeededRandom(1) });
    const sent = sendNumbered(link, 100);
    expect(texts(link, END_OF_TIME)).toEqual(sent);
    expect(link.nextDeliveryAt()).toBeUndefined();
  });

  test("delivers after the latency, not before, and says when", () => {
    const link = linkWith({ latencyMs: 20 });
    link.send("client-to-server", bytes("x"), instant(5));
    expect(link.nextDeliveryAt()).toBe(25);
    expect(link.deliver(instant(24))).toEqual([]);
    expect(link.deliver(instant(30))).toEqual([
      { direction: "client-to-server", bytes: bytes("x"), at: 25, from: "client" },
    ]);
  });

  test.each([
    ["drop", { drop: 0.3 }, "dropped"],
    ["duplicate", { duplicate: 0.3 }, "duplicated"],
    ["damage", { damage: 0.3 }, "damaged"],
  ] as const)("does as often as asked: %s", (_name, conditions, counted) => {
    const link = linkWith(conditions);
    sendNumbered(link, COUNT);
    const counts = link.counts["client-to-server"];
    expect(counts[counted] / COUNT).toBeCloseTo(0.3, 1);
    const delivered = link.deliver(END_OF_TIME).length;
    expect(delivered).toBe(COUNT + counts.duplicated - counts.dropped);
    expect(counts).toMatchObject({ sent: COUNT, delivered });
  });

  test("reorders by jitter and by holding back, and loses nothing by either", () => {
    for (const conditions of [
      { latencyMs: 10, jitterMs: 50 },
      { reorder: 0.25, reorderMs: 100 },
    ]) {
      const link = linkWith(conditions);
      const sent = sendNumbered(link, 200, 1);
      const arrived = texts(link, END_OF_TIME);
      expect(arrived).not.toEqual(sent);
      expect([...arrived].sort()).toEqual([...sent].sort());
    }
  });

  test("flips one to four bits of a damaged datagram and keeps its length", () => {
    const link = linkWith({ damage: 1 });
    const original = new Uint8Array(40);
    for (let i = 0; i < 500; i++) link.send("client-to-server", original, START);
    const flips = link.deliver(END_OF_TIME).map(({ bytes: damaged }) => {
      expect(damaged).toHaveLength(40);
      return damaged.reduce((sum, byte) => sum + popCount(byte), 0);
    });
    expect(new Set(flips)).toEqual(new Set([1, 2, 3, 4]));
    expect(original.every((byte) => byte === 0)).toBe(true);
  });

  test("does the same to the same traffic for the same seed, and else for another", () => {
    const run = (seed: number): unknown => {
      const random = new SeededRandom(seed);
      const conditions = { drop: 0.2, duplicate: 0.2, damage: 0.2, reorder: 0.2, jitterMs: 10 };
      const link = new DatagramLink({ random, conditions });
      sendNumbered(link, 100);
      return link.deliver(END_OF_TIME);
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  test("keeps conditions of their own for each direction, and new ones for what is sent later", () => {
    const link = new DatagramLink({ random: new SeededRandom(1), toServer: { drop: 1 }, toClient: { latencyMs: 5 } });
    link.send("client-to-server", bytes("lost"), START);
    link.send("server-to-client", bytes("comes"), START);
    link.conditions["client-to-server"] = {};
    link.send("client-to-server", bytes("now"), START);
    expect(texts(link, END_OF_TIME)).toEqual(["now", "comes"]);
  });

  test("lets the test decide about single datagrams before any condition does", () => {
    const fates: Fate[] = ["drop", "deliver", { delayMs: 500 }, undefined];
    const link = linkWith({ drop: 1 }, { decide: ({ index }: LinkEvent) => fates[index] });
    sendNumbered(link, 4);
    expect(link.deliver(END_OF_TIME).map(({ bytes: data, at }) => [Buffer.from(data).toString(), at])).toEqual([
      ["1", 0],
      ["2", 500],
    ]);
  });

  test("shows its tap every fate, with bytes that later changes of the sender's buffer do not reach", () => {
    const events: LinkEvent[] = [];
    const link = linkWith({ duplicate: 1, damage: 1 }, { tap: (event: LinkEvent) => events.push(event) });
    const buffer = bytes("x");
    link.send("client-to-server", buffer, START);
    buffer.fill(0);
    link.deliver(END_OF_TIME);
    link.conditions["client-to-server"] = { drop: 1 };
    link.send("client-to-server", bytes("y"), START);
    expect(events.map(({ type, index }) => [type, index])).toEqual([
      ["sent", 0],
      ["damaged", 0],
      ["duplicated", 0],
      ["damaged", 0],
      ["delivered", 0],
      ["delivered", 0],
      ["sent", 1],
      ["dropped", 1],
    ]);
    expect(events[0]?.bytes).toEqual(bytes("x"));
  });

  test("lets out of the call what a tap throws: an oracle stops the test at once", () => {
    const tap = (): never => {
      throw new Error("oracle");
    };
    const link = new DatagramLink({ random: new SeededRandom(1), tap });
    expect(() => link.send("client-to-server", bytes("x"), START)).toThrow("oracle");
  });

  test("shows a client that moved at its new address, and loses what still goes to the old one", () => {
    const link = linkWith({});
    link.send("client-to-server", bytes("before"), START);
    link.moveClient("client-2");
    link.send("client-to-server", bytes("after"), START);
    link.send("server-to-client", bytes("stale"), START, "client");
    link.send("server-to-client", bytes("fresh"), START, "client-2");
    expect(link.deliver(END_OF_TIME).map(({ bytes: data, from }) => [Buffer.from(data).toString(), from])).toEqual([
      ["before", "client"],
      ["after", "client-2"],
      ["fresh", "server"],
    ]);
  });

  test("delivers what an attacker injects, under a name of its own, and never calls it sent", () => {
    const link = linkWith({ drop: 1 });
    link.inject("client-to-server", bytes("forged"), instant(3), "attacker");
    expect(link.deliver(instant(3))).toEqual([
      { direction: "client-to-server", bytes: bytes("forged"), at: 3, from: "attacker" },
    ]);
    expect(link.counts["client-to-server"]).toMatchObject({ sent: 0, injected: 1, delivered: 1 });
  });

  test("loses what is under way when it is cleared", () => {
    const link = linkWith({ latencyMs: 10 });
    sendNumbered(link, 3);
    link.clear();
    expect(link.deliver(END_OF_TIME)).toEqual([]);
    expect(link.counts["client-to-server"]).toMatchObject({ sent: 3, dropped: 3, delivered: 0 });
  });
});

function linkWith(conditions: DatagramConditions, more: object = {}): DatagramLink {
  return new DatagramLink({ random: new SeededRandom(1), conditions, ...more });
}

/** Sends "0", "1", … to the server, `everyMs` apart. */
function sendNumbered(link: DatagramLink, count: number, everyMs = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    link.send("client-to-server", bytes(`${i}`), instant(i * everyMs));
    return `${i}`;
  });
}

function texts(link: DatagramLink, now: Instant): string[] {
  return link.deliver(now).map((delivery) => Buffer.from(delivery.bytes).toString());
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function popCount(byte: number): number {
  return byte.toString(2).replaceAll("0", "").length;
}
