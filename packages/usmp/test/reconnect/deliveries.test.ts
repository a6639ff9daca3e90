import { defaultCrypto } from "@usmp/crypto";
import { SeededRandom, seededCrypto, VirtualClock } from "@usmp/testkit";
import { type Delivery, type Link, OutboxFullError, UsageError } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { patterned, TRANSPORTS, textOf } from "../support/loopback.ts";
import { SimulatedNetwork, type SimulatedNetworkOptions } from "../support/simulated-network.ts";

describe.each(TRANSPORTS)("messages over %s", (transport) => {
  test("wait for a session, arrive in order, and are marked delivered", async () => {
    const { network, link, received, elapse } = await begin(transport, {}, "refuses");
    const deliveries = numbered(link, 100);
    expect(deliveries[0]?.state).toBe("waiting");
    await elapse(5_000);
    network.mode = "serves";
    await elapse(60_000);
    expect(received).toEqual(numbers(100));
    for (const { id, state, tries, outcome } of deliveries) {
      expect({ id, state, tries }).toEqual({ id, state: "delivered", tries: 1 });
      expect(await outcome).toEqual({ fate: "delivered", sessionId: link.session?.sessionId });
    }
    expect(link.statistics).toMatchObject({ delivered: 100, unknown: 0, pending: 0, pendingBytes: 0 });
    await link.flushed();
  });

  test("whose session ends stay in order: delivered, then unknown, then those that wait for the next session", async () => {
    const { network, link, received, elapse } = await begin(transport, { deadAfterMs: 3_000 });
    await elapse(1_000);
    const before = numbered(link, 20);
    await elapse(2_000);
    network.cutOff();
    const lost = numbered(link, 60, 20);
    await elapse(10_000);
    network.mode = "serves";
    await elapse(90_000);
    const fates = lost.map(({ state }) => state);
    expect(before.every(({ state }) => state === "delivered")).toBe(true);
    // TCP takes what it is given; over UDP as many are on their way as the congestion window allows.
    const unknown = fates.filter((fate) => fate === "unknown").length;
    expect(unknown).toBeGreaterThanOrEqual(transport === "tcp" ? 60 : 1);
    expect(unknown).toBeLessThanOrEqual(transport === "tcp" ? 60 : 32);
    expect(fates).toEqual([...Array(unknown).fill("unknown"), ...Array(60 - unknown).fill("delivered")]);
    expect(received).toEqual([...numbers(20), ...numbers(60 - unknown, 20 + unknown)]);
    expect(await lost[0]?.outcome).toMatchObject({
      fate: "unknown",
      error: { code: "delivery-unknown", reason: { code: "peer-silent" } },
    });
    expect(link.statistics).toMatchObject({ unknown, resent: 0 });
  });

  test("of unknown fate go again where that was asked for, before those behind them", async () => {
    const { network, link, received, elapse } = await begin(transport, { deadAfterMs: 3_000, resendUnknown: true });
    await elapse(1_000);
    network.cutOff();
    const lost = numbered(link, 40);
    await elapse(10_000);
    network.mode = "serves";
    await elapse(90_000);
    expect(received).toEqual(numbers(40));
    expect(lost.every(({ state }) => state === "delivered")).toBe(true);
    expect(lost[0]?.tries).toBe(2);
    expect(link.statistics).toMatchObject({ unknown: 0, delivered: 40, resent: transport === "tcp" ? 40 : 1 });
  });

  test("that the peer has taken although no answer came may arrive twice then, and are unknown if the link ends first", async () => {
    const { network, link, received, elapse } = await begin(transport, { deadAfterMs: 3_000, resendUnknown: true });
    await elapse(1_000);
    network.muteServer();
    const lost = link.send("heard, not answered");
    await elapse(1_000);
    expect(received).toEqual(["heard, not answered"]);
    network.cutOff();
    await elapse(20_000);
    expect(lost.state).toBe("waiting");
    const never = link.send("never left");
    link.abort();
    expect((await lost.outcome).fate).toBe("unknown");
    expect(await never.outcome).toEqual({ fate: "dropped", cause: "link-closed" });
  });

  test("are dropped with the link, with that reason, and none without one", async () => {
    const { link, elapse } = await begin(transport, {}, "refuses");
    const deliveries = numbered(link, 10);
    await elapse(2_000);
    await link.close();
    const outcomes = await Promise.all(deliveries.map(({ outcome }) => outcome));
    expect(outcomes).toEqual(Array(10).fill({ fate: "dropped", cause: "link-closed" }));
    expect(link.statistics.dropped["link-closed"]).toBe(10);
  });

  test("leave before BYE when the link is closed", async () => {
    const { link, received, elapse } = await begin(transport);
    await elapse(1_000);
    const deliveries = numbered(link, 10);
    const closing = link.close();
    await elapse(3_000);
    await closing;
    expect(received).toEqual(numbers(10));
    expect(deliveries.map(({ state }) => state)).toEqual(Array(10).fill("delivered"));
  });

  test("that a peer takes no more do not keep close() for ever", async () => {
    const { network, link, elapse } = await begin(transport);
    await elapse(1_000);
    network.cutOff();
    const stuck = link.send("stuck");
    const closing = link.close();
    await elapse(3_000);
    expect(await closing).toEqual({ code: "closed-locally" });
    expect((await stuck.outcome).fate).toBe("unknown");
  });

  test("are counted, each once, whatever happens: a year of restarts in one run", async () => {
    const { network, link, received, elapse } = await begin(transport, {
      deadAfterMs: 2_000,
      backoff: { initialMs: 500, maxMs: 2_000 },
      outbox: { messages: 50 },
    });
    const random = new SeededRandom(11);
    const deliveries: Delivery[] = [];
    for (let i = 0; i < 600; i++) {
      deliveries.push(link.send(String(i)));
      if (random.chance(0.02)) random.chance(0.5) ? network.kill() : network.cutOff();
      if (random.chance(0.05)) network.mode = "serves";
      await elapse(random.int(600));
    }
    network.mode = "serves";
    await elapse(120_000);
    const count = (state: Delivery["state"]): number => deliveries.filter((each) => each.state === state).length;
    const { delivered, unknown, dropped, sessions } = link.statistics;
    expect(sessions).toBeGreaterThan(3);
    expect(delivered + unknown + dropped["outbox-full"]).toBe(600);
    expect([count("delivered"), count("unknown"), count("dropped")]).toEqual([
      delivered,
      unknown,
      dropped["outbox-full"],
    ]);
    // Delivered means received; unknown may be; dropped was not. Each at most once, and in order.
    const arrived = new Set(received);
    for (const { id, state } of deliveries) {
      if (state === "delivered") expect(arrived.has(String(id))).toBe(true);
      if (state === "dropped") expect(arrived.has(String(id))).toBe(false);
    }
    expect(received).toEqual([...arrived].sort((a, b) => Number(a) - Number(b)));
  });
});

describe("TCP's truth", () => {
  test("is a PONG behind the message: one to a PING that left before it proves nothing", async () => {
    const { network, link, elapse } = await begin("tcp", {}, "serves", { latencyMs: 500 });
    await elapse(5_000);
    const session = link.session;
    void session?.ping();
    await elapse(500);
    const late = link.send("behind the PING");
    // The PONG to the first PING is here by now, the message is not yet there.
    await elapse(400);
    expect(late.state).toBe("under-way");
    await elapse(200);
    expect(late.state).toBe("under-way");
    await elapse(2_000);
    expect(late.state).toBe("delivered");
    expect(network.sessions).toHaveLength(1);
  });

  test("costs few PINGs however many messages there are", async () => {
    const { link, elapse } = await begin("tcp");
    await elapse(1_000);
    const before = link.session?.statistics.framesSent ?? 0;
    const deliveries: Delivery[] = [];
    for (let i = 0; i < 1_000; i++) {
      deliveries.push(link.send("x"));
      await elapse(10);
    }
    await elapse(2_000);
    expect(deliveries.every(({ state }) => state === "delivered")).toBe(true);
    const pings = (link.session?.statistics.framesSent ?? 0) - before - 1_000;
    expect(pings).toBeLessThan(80);
  });

  test("is the kernel's word where it is switched off", async () => {
    const { network, link, elapse } = await begin("tcp", { confirm: false });
    await elapse(1_000);
    network.cutOff();
    const believed = link.send("into the void");
    await elapse(0);
    expect(believed.state).toBe("delivered");
  });
});

describe("a full outbox", () => {
  test("drops the oldest that waits", async () => {
    const { link } = await begin("tcp", { outbox: { messages: 3 } }, "refuses");
    const deliveries = numbered(link, 5);
    expect(deliveries.map(({ state }) => state)).toEqual(["dropped", "dropped", "waiting", "waiting", "waiting"]);
    expect(await deliveries[0]?.outcome).toEqual({ fate: "dropped", cause: "outbox-full" });
    expect(link.statistics).toMatchObject({ pending: 3, dropped: { "outbox-full": 2 } });
  });

  test("drops the new one", async () => {
    const { link } = await begin("tcp", { outbox: { messages: 3, whenFull: "drop-newest" } }, "refuses");
    const states = numbered(link, 5).map(({ state }) => state);
    expect(states).toEqual(["waiting", "waiting", "waiting", "dropped", "dropped"]);
  });

  test("refuses at the call", async () => {
    const { link } = await begin("tcp", { outbox: { messages: 3, whenFull: "refuse" } }, "refuses");
    numbered(link, 3);
    expect(() => link.send("one too many")).toThrow(OutboxFullError);
    expect(() => link.send("one too many")).toThrow(/holds 3 messages \(3 bytes\) .* wait for an outcome/);
    expect(link.statistics).toMatchObject({ refused: 2, pending: 3 });
  });

  test("counts bytes too", async () => {
    const { link } = await begin("tcp", { outbox: { bytes: 4_000 } }, "refuses");
    const deliveries = [1_000, 1_000, 1_000, 1_808, 1].map((length) => link.send(patterned(length)));
    expect(deliveries.map(({ state }) => state)).toEqual(["dropped", "waiting", "waiting", "waiting", "waiting"]);
    expect(link.statistics).toMatchObject({ pending: 4, pendingBytes: 3_809 });
  });

  test("never drops what is under way: then the new one finds no place", async () => {
    const { network, link, elapse } = await begin("udp", { outbox: { messages: 2 } });
    await elapse(1_000);
    network.cutOff();
    const deliveries = numbered(link, 3);
    expect(deliveries.map(({ state }) => state)).toEqual(["under-way", "under-way", "dropped"]);
  });
});

describe("send()", () => {
  test("keeps a copy, takes text and bytes, and refuses what is too long", async () => {
    const { network, link, received, elapse } = await begin("tcp", {}, "refuses");
    const bytes = Uint8Array.of(0x61);
    link.send(bytes);
    bytes[0] = 0x62;
    link.send("ü");
    expect(() => link.send(patterned(1_809))).toThrow(UsageError);
    network.mode = "serves";
    await elapse(60_000);
    expect(received).toEqual(["a", "ü"]);
  });

  test("can be given up while the message waits, not later", async () => {
    const { network, link, received, elapse } = await begin("udp", {}, "swallows");
    const patience = new AbortController();
    const given = link.send("given up", { signal: patience.signal });
    link.send("stays");
    patience.abort();
    expect(await given.outcome).toEqual({ fate: "dropped", cause: "aborted" });
    network.mode = "serves";
    await elapse(90_000);
    expect(received).toEqual(["stays"]);
    const late = new AbortController();
    const sent = link.send("on its way", { signal: late.signal });
    late.abort();
    await elapse(1_000);
    expect(sent.state).toBe("delivered");
    expect(() => link.send("x", { signal: late.signal })).toThrow(/abort/);
  });
});

describe("reading a link", () => {
  test("goes on across sessions, in order, and no message is lost between two", async () => {
    const { network, link, elapse } = await begin("tcp");
    network.onAdmit = (session) => {
      for (let i = 0; i < 3; i++) void session.send(`${network.sessions.length}.${i}`);
    };
    const read = collect(link);
    for (let i = 0; i < 3; i++) {
      await elapse(40_000);
      network.kill();
      network.mode = "serves";
    }
    await elapse(40_000);
    const closing = link.close();
    await elapse(2_000);
    await closing;
    expect(await read).toEqual([1, 2, 3, 4].flatMap((session) => [0, 1, 2].map((i) => `${session}.${i}`)));
    expect(link.statistics.received).toBe(12);
  });

  test("not at all holds the peer back, and costs no more with every session that comes and goes", async () => {
    const settings = { deadAfterMs: 3_000 };
    const { network, link, elapse } = await begin("udp", settings, "serves", {}, { receiveBufferBytes: 10_000 });
    network.onAdmit = (session) => {
      for (let i = 0; i < 100; i++) session.send(patterned(1_000)).catch(() => {});
    };
    for (let i = 0; i < 12; i++) {
      await elapse(60_000);
      network.kill();
      network.mode = "serves";
    }
    await elapse(60_000);
    link.abort();
    let bytes = 0;
    for (let next = await link.receive(); next !== undefined; next = await link.receive()) bytes += next.length;
    expect(network.sessions.length).toBeGreaterThan(10);
    // Each session may take one message before it notices that there is no room.
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(10_000 + network.sessions.length * 1_500);
  });
});

/** A link on a network of its own, and what its server received. */
async function begin(
  transport: "tcp" | "udp",
  reconnect: Parameters<SimulatedNetwork["link"]>[1] = {},
  mode: SimulatedNetwork["mode"] = "serves",
  conditions: SimulatedNetworkOptions = {},
  options: Parameters<SimulatedNetwork["link"]>[2] = {},
) {
  const network = new SimulatedNetwork(new VirtualClock(), conditions);
  network.mode = mode;
  const received: (string | undefined)[] = [];
  network.onAdmit = (session) => {
    void (async () => {
      for await (const message of session) received.push(textOf(message));
    })();
  };
  const crypto = seededCrypto(defaultCrypto(), new SeededRandom(7));
  const link = await network.link(transport, reconnect, { crypto, ...options });
  onTestFinished(() => link.abort());
  return { network, link, received, elapse: (milliseconds: number) => network.clock.elapse(milliseconds) };
}

function numbers(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(first + index));
}

function numbered(link: Link, count: number, first = 0): Delivery[] {
  return numbers(count, first).map((text) => link.send(text));
}

async function collect(link: Link): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  for await (const message of link) texts.push(textOf(message));
  return texts;
}
