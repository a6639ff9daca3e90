/** What is measured. A round is one fresh server and one fresh load, so that no round inherits another's heap or compiled code. */
import { randomBytes } from "node:crypto";
import { Child } from "./child.mjs";

/** @typedef {import("./contenders.mjs").Contender} Contender */

/**
 * @typedef {object} Plan how much work a round is
 * @property {number} handshakes
 * @property {number} messages for each connection and size
 * @property {number} sessions idle ones
 * @property {number} rounds
 */

/** @type {Readonly<Record<"full" | "quick", Plan>>} */
export const PLANS = {
  full: { handshakes: 3_000, messages: 10_000, sessions: 3_000, rounds: 7 },
  quick: { handshakes: 600, messages: 2_000, sessions: 800, rounds: 2 },
};

const CONNECTIONS = 8;
const PSK_LENGTH = 32;
/** Work before the measured work, as a part of it: code is compiled and pools are filled by then. */
const WARM_UP = 0.3;

/** What is measured, in the order of the table. `window`: messages under way at once on each connection. */
export const MEASURES = /** @type {const} */ ({
  handshake: { title: "handshake over TCP, accept to close", unit: "us CPU" },
  echo64: { title: "echo of 64 bytes", unit: "us CPU", size: 64, window: 1 },
  echo452: { title: "echo of 452 bytes", unit: "us CPU", size: 452, window: 1 },
  stream64: { title: "echo of 64 bytes, 16 under way", unit: "us CPU", size: 64, window: 16 },
  stream452: { title: "echo of 452 bytes, 16 under way", unit: "us CPU", size: 452, window: 16 },
  idle: { title: "idle session", unit: "kB resident" },
});

/** @typedef {keyof typeof MEASURES} Measure */

/** @param {Contender} contender */
async function start({ server, load }) {
  const psk = randomBytes(PSK_LENGTH).toString("hex");
  const measured = new Child(server);
  const clients = new Child(load);
  const { port } = await measured.ask({ do: "serve", psk });
  return { measured, clients, server: { port, psk } };
}

/** @typedef {Awaited<ReturnType<typeof start>>} Pair */

/** @param {Pair} pair */
async function stop({ measured, clients }) {
  await clients.stop();
  await measured.stop();
}

/**
 * CPU time that the server spends on one piece of work, its collections included.
 * @param {Pair} pair
 * @param {number} pieces
 * @param {() => Promise<unknown>} work
 */
async function cpuEach({ measured }, pieces, work) {
  await measured.ask({ do: "rest" });
  const before = measured.cpuMicroseconds;
  await work();
  await measured.ask({ do: "rest" });
  return (measured.cpuMicroseconds - before) / pieces;
}

/**
 * @param {Contender} contender
 * @param {Plan} plan
 * @returns {Promise<Partial<Record<Measure, number>>>}
 */
export async function timingRound(contender, plan) {
  const pair = await start(contender);
  const { clients, server } = pair;
  const scaled = (/** @type {number} */ count) => Math.ceil(count * contender.share);
  try {
    /** @param {number} count */
    const shake = (count) => clients.ask({ do: "handshakes", server, count, concurrency: CONNECTIONS });
    const handshakes = scaled(plan.handshakes);
    await shake(Math.ceil(handshakes * WARM_UP));
    /** @type {Partial<Record<Measure, number>>} */
    const figures = { handshake: await cpuEach(pair, handshakes, () => shake(handshakes)) };

    await clients.ask({ do: "open", server, count: CONNECTIONS, concurrency: CONNECTIONS });
    for (const [name, measure] of Object.entries(MEASURES)) {
      if (!("size" in measure)) continue;
      const { size, window } = measure;
      /** @param {number} messages */
      const prepare = (messages) => clients.ask({ do: "prepareEcho", size, messages });
      /** @param {number} messages */
      const echo = (messages) => clients.ask({ do: "echo", size, messages, window });
      const messages = scaled(plan.messages);
      const warmUp = Math.ceil(messages * WARM_UP);
      await prepare(warmUp);
      await echo(warmUp);
      await prepare(messages);
      figures[/** @type {Measure} */ (name)] = await cpuEach(pair, messages * CONNECTIONS, () => echo(messages));
    }
    await clients.ask({ do: "close" });
    return figures;
  } finally {
    await stop(pair);
  }
}

/**
 * Resident memory that an idle session adds to the server, after a collection before and after.
 * @param {Contender} contender
 * @param {Plan} plan
 */
export async function idleRound(contender, plan) {
  const pair = await start(contender);
  const { measured, clients, server } = pair;
  try {
    // The first sessions fill what all share: pools, compiled code, the heap's first pages.
    await clients.ask({ do: "open", server, count: 200, concurrency: CONNECTIONS });
    await clients.ask({ do: "close" });
    await measured.ask({ do: "collect" });
    const before = measured.residentBytes;
    await clients.ask({ do: "open", server, count: plan.sessions, concurrency: CONNECTIONS });
    await measured.ask({ do: "collect" });
    const kilobytes = (measured.residentBytes - before) / 1_000 / plan.sessions;
    await clients.ask({ do: "close" });
    return kilobytes;
  } finally {
    await stop(pair);
  }
}

/**
 * What TLS really agreed on; throws when it is not what the comparison is with.
 * @param {Contender} contender
 */
export async function describeTls(contender) {
  const pair = await start(contender);
  try {
    const agreed = await pair.clients.ask({ do: "describe", server: pair.server });
    const { protocol, exchange, certificate } = agreed;
    if (protocol !== "TLSv1.3" || exchange !== "X25519" || certificate) {
      throw new Error(`TLS agreed on ${JSON.stringify(agreed)}, not on TLS 1.3 with a PSK and X25519`);
    }
    return agreed;
  } finally {
    await stop(pair);
  }
}
