import { defaultCrypto } from "@usmp/crypto";
import { runSeed, SeededRandom, seededCrypto, VirtualClock } from "@usmp/testkit";
import type { Link } from "usmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { TRANSPORTS } from "../support/loopback.ts";
import { SimulatedNetwork } from "../support/simulated-network.ts";

const CLIENTS = 100;
/** Of 500 a second for 1,000 clients; `npm run stampede` measures those over real sockets. */
const MOST_PER_SECOND = CLIENTS / 2;
/** Hundreds of real handshakes on a machine that may be busy. */
const SLOW = { timeout: 60_000 };
/** The default ceiling of the backoff, and a handshake. */
const BACK_WITHIN_MS = 30_000 + 1_000;

describe.each(TRANSPORTS)("a crowd over %s whose server restarts, with the default settings,", SLOW, (transport) => {
  test.each([0, 2_000, 20_000])("comes back without a stampede after %i ms", async (downMs) => {
    const random = new SeededRandom(runSeed());
    const network = new SimulatedNetwork(new VirtualClock(), { seed: random.uint32() });
    const links: Link[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      const crypto = seededCrypto(defaultCrypto(), random.fork());
      links.push(await network.link(transport, {}, { crypto, deviceId: deviceId(i) }));
    }
    onTestFinished(() => {
      for (const link of links) link.abort();
    });
    await network.clock.elapse(60_000);
    expect(network.sessions).toHaveLength(CLIENTS);
    network.kill();
    await network.clock.elapse(downMs);
    network.mode = "serves";
    const returned = network.clock.now();
    // UDP: the next keepalive's silence tells that the server's memory is gone.
    const noticeMs = transport === "tcp" ? 0 : 30_000 + 16_000;
    await network.clock.elapse(BACK_WITHIN_MS + noticeMs);

    expect(links.filter(({ state }) => state.name === "connected")).toHaveLength(CLIENTS);
    const back = network.establishedAt.slice(CLIENTS).map((at) => at - returned);
    expect(back).toHaveLength(CLIENTS);
    expect(mostPerSecond(back)).toBeLessThanOrEqual(MOST_PER_SECOND);
  });
});

/** The fullest window of one second. */
function mostPerSecond(moments: readonly number[]): number {
  const sorted = [...moments].sort((a, b) => a - b);
  return Math.max(...sorted.map((from, index) => sorted.findLastIndex((at) => at < from + 1_000) - index + 1));
}

function deviceId(number: number): Uint8Array {
  return Uint8Array.of(2, 0, 0, 0, number >> 8, number);
}
