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
 * @property {number} idleRounds memory varies less than time
 */

/** @type {Readonly<Record<"full" | "quick", Plan>>} */
export const PLANS = {
  full: { handshakes: 4_000, messages: 8_000, sessions: 5_000, rounds: 7, idleRounds: 3 },
  quick: { handshakes: 1_000, messages: 2_000, sessions: 2_000, rounds: 2, idleRounds: 1 },
};

const CONNECTIONS = 8;
const PSK_LENGTH = 32;
/** Work before the measured work, as a part of it: the code is compiled by then. */
const WARM_UP = 0.5;
/** Sessions opened and closed before idle ones are counted: what the first of all leave behind is not theirs. */
const FIRST_SESSIONS = 300;

/** What is measured, in the order of the table. `window`: messages under way at once on each connection. */
export const MEASURES = /** @type {const} */ ({
  handshake: { title: "handshake over TCP, accept to close", unit: "us CPU" },
  echo64: { title: "echo of 64 bytes", unit: "us CPU", size: 64, window: 1 },
  echo452: { title: "echo of 452 bytes", unit: "us CPU", size: 452, window: 1 },
  stream64: { title: "echo of 64 bytes, 16 under way", unit: "us CPU", size: 64, window: 16 },
  stream452: { title: "echo of 452 bytes, 16 under way", unit: "us CPU", size: 452, window: 16 },
  idle: { title: "idle session, the heap's growth included", unit: "kB resident" },
  idleAgain: { title: "idle session, once the heap has grown", unit: "kB resident" },
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
 * Resident memory that an idle session adds to the server, after a collection before and after: on a fresh server, and when as many
 * came and went before, so that the heap has its size.
 * @param {Contender} contender
 * @param {Plan} plan
 * @returns {Promise<Partial<Record<Measure, number>>>}
 */
export async function idleRound(contender, plan) {
  const pair = await start(contender);
  const { clients, server } = pair;
  const count = Math.ceil(plan.sessions * contender.share);
  const open = (/** @type {number} */ sessions) => {
    return clients.ask({ do: "open", server, count: sessions, concurrency: CONNECTIONS });
  };
  const kilobytesEach = async () => {
    const before = await collectedBytes(pair);
    await open(count);
    const after = await collectedBytes(pair);
    await clients.ask({ do: "close" });
    return (after - before) / 1_000 / count;
  };
  try {
    await open(FIRST_SESSIONS);
    await clients.ask({ do: "close" });
    return { idle: await kilobytesEach(), idleAgain: await kilobytesEach() };
  } finally {
    await stop(pair);
  }
}

/** @param {Pair} pair */
async function collectedBytes({ measured }) {
  await measured.ask({ do: "collect" });
  return measured.residentBytes;
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
