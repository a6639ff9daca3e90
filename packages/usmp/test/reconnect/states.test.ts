import { Secret } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { type Link, LinkClosedError, type LinkState } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { begin } from "../support/links.ts";
import { OTHER_TEST_PSK, TEST_PSK, TRANSPORTS } from "../support/loopback.ts";
import { SimulatedNetwork } from "../support/simulated-network.ts";

describe.each(TRANSPORTS)("a link over %s", (transport) => {
  test("is there at once, connects, and says so", async () => {
    const { network, link, names, elapse } = await begin(transport);
    expect(link.state.name).toBe("connecting");
    expect(link.session).toBeUndefined();
    const connected = link.connected();
    await elapse(1_000);
    expect(names()).toEqual(["connecting", "connected"]);
    expect(link.session).toBe(await connected);
    expect(network.sessions[0]?.deviceId).toBe(link.deviceId);
    expect(link.target).toEqual({ transport, host: "server", port: 1 });
  });

  test("comes back with a full handshake after its server restarted, as the same device", async () => {
    const { network, link, names, elapse } = await begin(transport, { deadAfterMs: 4_000 });
    await elapse(1_000);
    const first = link.session?.sessionId;
    network.kill();
    // UDP: nobody says that the server is gone; a message that stays unanswered shows it.
    link.send("anyone?");
    await elapse(10_000);
    network.mode = "serves";
    await elapse(60_000);
    expect(link.state.name).toBe("connected");
    expect(link.session?.sessionId).not.toBe(first);
    expect(new Set(network.sessions.map(({ deviceId }) => deviceId))).toEqual(new Set([link.deviceId]));
    expect(names().slice(0, 4)).toEqual(["connecting", "connected", "waiting", "connecting"]);
    expect(link.statistics).toMatchObject({ sessions: 2, ends: transport === "tcp" ? {} : { "peer-silent": 1 } });
  });

  test("waits honestly: until when, and why", async () => {
    const { network, link, states, elapse } = await begin(transport, {}, "swallows");
    await elapse(10_000);
    const waiting = states().at(-1) as LinkState & { name: "waiting" };
    expect(waiting).toMatchObject({ name: "waiting", error: { name: "ConnectError" } });
    expect(waiting.error.code).toBe(transport === "tcp" ? "unreachable" : "handshake-timeout");
    expect(waiting.retryAt - waiting.since).toBe(waiting.retryInMs);
    const attempts = network.dialedAt.length;
    await elapse(waiting.retryAt - network.clock.now() - 1);
    expect(network.dialedAt).toHaveLength(attempts);
    await elapse(1);
    expect(network.dialedAt.at(-1)).toBe(waiting.retryAt);
    expect(link.state).toMatchObject({ name: "connecting", attempt: 2 });
  });

  test("closes from every state, with BYE where there is a session, and forgets its key", async () => {
    for (const mode of ["serves", "refuses", "swallows"] as const) {
      const { network, link, names, elapse } = await begin(transport, {}, mode);
      await elapse(1_000);
      const closing = link.close();
      await elapse(2_000);
      expect(await closing).toEqual({ code: "closed-locally" });
      expect(await link.closed).toEqual({ code: "closed-locally" });
      expect(names().at(-1)).toBe("closed");
      const attempts = network.dialedAt.length;
      await elapse(120_000);
      expect(network.dialedAt).toHaveLength(attempts);
      if (mode === "serves") expect(await network.sessions[0]?.closed).toEqual({ code: "closed-by-peer" });
      expect(() => link.send("x")).toThrow(LinkClosedError);
      await expect(link.connected()).rejects.toThrow(LinkClosedError);
      expect(await link.receive()).toBeUndefined();
    }
  });

  test("is aborted by its signal, at any time", async () => {
    for (const after of [0, 5, 1_000]) {
      const stop = new AbortController();
      const { link, elapse } = await begin(transport, {}, "serves", { signal: stop.signal });
      await elapse(after);
      const lost = link.send("x");
      stop.abort();
      expect(await link.closed).toEqual({ code: "aborted" });
      expect((await lost.outcome).fate).not.toBe("delivered");
      await elapse(60_000);
      expect(link.state).toMatchObject({ name: "closed", end: { code: "aborted" } });
    }
  });
});

describe("the backoff of a link", () => {
  test("starts again after a session that lasted, and goes on after one that did not", async () => {
    const { network, states, elapse } = await begin("tcp", { backoff: { initialMs: 1_000 }, stableAfterMs: 30_000 });
    // The highest wait of each round bounds its ceiling from below: sessions that end at once let it grow.
    network.onAdmit = (session) => session.abort();
    await elapse(240_000);
    const unstable = waits(states()).slice(1);
    expect(Math.max(...unstable)).toBeGreaterThan(8_000);
    network.onAdmit = () => {};
    await elapse(60_000);
    network.kill();
    await elapse(20);
    expect(waits(states()).at(-1)).toBeLessThanOrEqual(1_000);
  });

  test("of a wrong key grows on beyond the usual maximum: time mends no key, but an operator may", async () => {
    for (const transport of TRANSPORTS) {
      const { link, states, elapse } = await begin(
        transport,
        { backoff: { initialMs: 1_000, maxMs: 2_000, refusedMaxMs: 600_000 } },
        "serves",
        { psk: OTHER_TEST_PSK },
      );
      await elapse(3_600_000);
      expect(Math.max(...waits(states()))).toBeGreaterThan(60_000);
      expect(Object.keys(link.statistics.failures)).toEqual([
        transport === "tcp" ? "refused-by-server" : "handshake-timeout",
      ]);
      expect(link.state.name).not.toBe("closed");
    }
  });
});

describe("a link that is told to give up", () => {
  test.each([
    ["after so many attempts", { attempts: 3 }, 3],
    ["after so many refusals", { refusals: 2 }, 2],
  ])("%s does", async (_, giveUpAfter, attempts) => {
    const { link, network, elapse } = await begin("tcp", { giveUpAfter }, "serves", { psk: OTHER_TEST_PSK });
    await elapse(3_600_000);
    expect(network.dialedAt).toHaveLength(attempts);
    expect(await link.closed).toMatchObject({ code: "gave-up", error: { code: "refused-by-server" } });
    expect(() => link.send("x")).toThrow(/it gave up; the last error was .* the key is wrong/);
  });

  test("after so long without a session does, counted from the last one's end", async () => {
    const { link, network, elapse } = await begin("tcp", { giveUpAfter: { ms: 60_000 } });
    await elapse(300_000);
    network.kill();
    await elapse(59_000);
    expect(link.state.name).not.toBe("closed");
    await elapse(40_000);
    expect(await link.closed).toMatchObject({ code: "gave-up", error: { code: "unreachable" } });
  });

  test("never does by default", async () => {
    const { link, network, elapse } = await begin("tcp", {}, "refuses");
    await elapse(6 * 3_600_000);
    // With a ceiling of 30 s the mean wait is 15 s.
    expect(network.dialedAt.length).toBeGreaterThan(1_000);
    expect(link.state.name).not.toBe("closed");
  });

  test("a wiped Secret ends it: no later attempt could do better", async () => {
    const psk = new Secret(TEST_PSK);
    const { link, network, elapse } = await begin("tcp", {}, "serves", { psk });
    await elapse(1_000);
    psk.wipe();
    network.kill();
    network.mode = "serves";
    await elapse(60_000);
    expect(await link.closed).toMatchObject({ code: "failed", error: { code: "secret-wiped" } });
  });
});

describe("a process that did not run for ten minutes", () => {
  test("tries once, at once, when a try had fallen due", async () => {
    const { network, link, elapse } = await begin("tcp", {}, "refuses");
    await elapse(100);
    expect(link.state.name).toBe("waiting");
    network.mode = "serves";
    network.clock.jump(600_000);
    await elapse(100);
    expect(network.dialedAt).toEqual([0, 600_100]);
    expect(link.state.name).toBe("connected");
    expect(link.statistics.attempts).toBe(2);
  });

  test.each(TRANSPORTS)("keeps a session over %s whose peer still answers", async (transport) => {
    const { network, link, elapse } = await begin(transport);
    await elapse(10_000);
    const session = link.session;
    const waiting = link.send("on its way");
    network.clock.jump(600_000);
    await elapse(30_000);
    expect(waiting.state).toBe("delivered");
    expect(link.session).toBe(session);
    expect(link.statistics).toMatchObject({ sessions: 1, ends: {} });
  });
});

describe("reading a link's states", () => {
  test("begins with the present one and ends after the last, for each reader", async () => {
    const { link, elapse } = await begin("tcp");
    await elapse(1_000);
    const early = collect(link);
    await elapse(0);
    link.abort();
    expect(await early).toEqual(["connected", "closed"]);
    expect(await collect(link)).toEqual(["closed"]);
  });

  test("slowly misses old ones, never the last", async () => {
    const { link, network, elapse } = await begin("tcp", {}, "refuses");
    const reader = link.states()[Symbol.asyncIterator]();
    expect((await reader.next()).value).toMatchObject({ name: "connecting" });
    await elapse(3_600_000);
    expect(network.dialedAt.length).toBeGreaterThan(100);
    link.abort();
    const rest: string[] = [];
    for (let next = await reader.next(); !next.done; next = await reader.next()) rest.push(next.value.name);
    expect(rest.length).toBeLessThanOrEqual(64);
    expect(rest.at(-1)).toBe("closed");
  });

  test("in a callback that throws does not disturb the link", async () => {
    const thrown: unknown[] = [];
    const onThrown = (error: unknown): void => void thrown.push(error);
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", onThrown);
    onTestFinished(() => {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener);
    });
    const network = new SimulatedNetwork(new VirtualClock());
    const link = await network.link("tcp", {
      onState: ({ name }) => {
        throw new Error(name);
      },
    });
    await network.clock.elapse(1_000);
    expect(link.state.name).toBe("connected");
    link.abort();
    await network.clock.elapse(0);
    expect(thrown.map(String)).toEqual(["Error: connecting", "Error: connected", "Error: closed"]);
  });

  test("flushed() too, and a link is closed by the end of its block", async () => {
    const { network, link, elapse } = await begin("tcp", {}, "swallows");
    const patience = new AbortController();
    link.send("x");
    const flushing = link.flushed({ signal: patience.signal });
    patience.abort(new Error("no patience"));
    await expect(flushing).rejects.toThrow("no patience");
    await expect(link.flushed({ signal: patience.signal })).rejects.toThrow("no patience");
    network.mode = "serves";
    await link[Symbol.asyncDispose]();
    await elapse(0);
    expect(link.state.name).toBe("closed");
    await link.flushed();
  });

  test("connected() can be given up", async () => {
    const { link } = await begin("tcp", {}, "swallows");
    const patience = new AbortController();
    const waiting = link.connected({ signal: patience.signal });
    patience.abort(new Error("no patience"));
    await expect(waiting).rejects.toThrow("no patience");
  });
});

function waits(states: readonly LinkState[]): number[] {
  return states.flatMap((state) => (state.name === "waiting" ? [state.retryInMs] : []));
}

async function collect(link: Link): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of link.states()) names.push(name);
  return names;
}
