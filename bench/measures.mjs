/** What is measured, and how much of it. Each answers its figures from a fresh server. */
import { Pair } from "./pair.mjs";

/** @typedef {import("./contenders.mjs").Contender} Contender */

/**
 * @typedef {object} Plan how much work a round is
 * @property {number} handshakes
 * @property {number} messages there and back, of each size and number of connections
 * @property {number} streamed messages of a one-way stream, of each size
 * @property {number} udp messages there and back over UDP
 * @property {number} sessions idle ones
 * @property {number} idleSeconds
 * @property {number} pacedSeconds
 * @property {readonly number[]} growth sessions
 * @property {number} rounds
 * @property {number} slowRounds of what takes long and varies less: memory, growth
 */

/** @type {Readonly<Record<"full" | "quick", Plan>>} */
export const PLANS = {
  full: {
    handshakes: 3_000,
    messages: 48_000,
    streamed: 120_000,
    udp: 24_000,
    sessions: 10_000,
    idleSeconds: 10,
    pacedSeconds: 4,
    growth: [100, 1_000, 10_000],
    rounds: 5,
    slowRounds: 2,
  },
  quick: {
    handshakes: 800,
    messages: 12_000,
    streamed: 16_000,
    udp: 6_000,
    sessions: 2_000,
    idleSeconds: 3,
    pacedSeconds: 1,
    growth: [100, 1_000],
    rounds: 1,
    slowRounds: 1,
  },
};

/**
 * @typedef {object} Measure
 * @property {string} title
 * @property {string} unit
 * @property {"less" | "more"} better
 */

const CPU = { unit: "us CPU", better: /** @type {const} */ ("less") };
const SIZES = /** @type {const} */ ([64, 452]);
const CONNECTIONS = /** @type {const} */ ([1, 8, 200]);
/** A frame's most, one way to the server; a message's most, one way from it. */
const [FRAME, MESSAGE] = [452, 1_808];
/** Work before the measured work, as a part of it: the code is compiled by then. */
const WARM_UP = 0.5;
/** Sessions opened and closed before idle ones are counted: what the first of all leave behind is not theirs. */
const FIRST_SESSIONS = 300;
const LEAST_SESSIONS = 2_000;
/** Messages under way on each of 8 connections when the highest load is looked for. */
const FULL_WINDOW = 16;

/** In the order of the page. @type {Readonly<Record<string, Measure>>} */
export const MEASURES = {
  handshake: { title: "handshake over TCP, accept to close", ...CPU },
  ...Object.fromEntries(
    SIZES.flatMap((size) =>
      CONNECTIONS.map((connections) => [
        `echo${size}x${connections}`,
        { title: `echo of ${size} B, ${connections} connection${connections === 1 ? "" : "s"}`, ...CPU },
      ]),
    ),
  ),
  pipelined64: { title: "echo of 64 B, 8 connections, 16 under way on each", ...CPU },
  pipelined452: { title: "echo of 452 B, 8 connections, 16 under way on each", ...CPU },
  streamIn452: { title: "stream of 452 B to the server", unit: "MB/CPU s", better: "more" },
  streamOut1808: { title: "stream of 1,808 B from the server", unit: "MB/CPU s", better: "more" },
  udp64: { title: "echo of 64 B over UDP, 8 connections", ...CPU },
  udp452: { title: "echo of 452 B over UDP, 8 connections", ...CPU },
  idle: { title: "idle session, the heap's growth included", unit: "kB resident", better: "less" },
  idleAgain: { title: "idle session, once the heap has grown", unit: "kB resident", better: "less" },
  idleCpu: { title: "all idle sessions", unit: "ms CPU/s", better: "less" },
  p50: { title: "round trip at half load, p50", unit: "us", better: "less" },
  p99: { title: "round trip at half load, p99", unit: "us", better: "less" },
  p999: { title: "round trip at half load, p99.9", unit: "us", better: "less" },
  halfLoad: { title: "half of the highest load", unit: "messages/s", better: "more" },
  growth100: { title: "echo of 64 B, 100 sessions", ...CPU },
  growth1000: { title: "echo of 64 B, 1,000 sessions", ...CPU },
  growth10000: { title: "echo of 64 B, 10,000 sessions", ...CPU },
};

/** @typedef {Record<string, number>} Figures */

/**
 * Everything that a contender takes part in.
 * @param {Contender} contender
 * @param {Plan} plan
 * @param {boolean} slow with what takes long
 * @returns {Promise<Figures>}
 */
export async function measureOnce(contender, plan, slow) {
  if (contender.transport === "udp") return onPair(contender, (pair) => udpEcho(pair, plan));
  const steps = [handshakes, echoes, streamIn, streamOut];
  if (contender.sealed && contender.name !== "mosquitto") steps.push(latency);
  if (slow) steps.push(idle);
  if (slow && contender.sealed) steps.push(growth);
  const figures = {};
  for (const step of steps) Object.assign(figures, await onPair(contender, (pair) => step(pair, plan)));
  return figures;
}

/**
 * @template T
 * @param {Contender} contender
 * @param {(pair: Pair) => Promise<T>} work
 */
export async function onPair(contender, work) {
  const pair = await Pair.start(contender);
  try {
    return await work(pair);
  } finally {
    await pair.stop();
  }
}

/** @param {Pair} pair @param {Plan} plan @returns {Promise<Figures>} */
async function handshakes(pair, plan) {
  const { clients, server } = pair;
  const count = pair.scaled(plan.handshakes);
  const shake = (/** @type {number} */ handshakes) =>
    clients.ask({ do: "handshakes", server, count: handshakes, concurrency: 8 });
  await shake(Math.ceil(count * WARM_UP));
  return { handshake: (await pair.cpuOf(() => shake(count))) / count };
}

/** @param {Pair} pair @param {Plan} plan @returns {Promise<Figures>} */
async function echoes(pair, plan) {
  /** @type {Figures} */
  const figures = {};
  let open = 0;
  for (const connections of CONNECTIONS) {
    await pair.open(connections - open);
    open = connections;
    for (const size of SIZES) {
      figures[`echo${size}x${connections}`] = await echoCost(pair, plan.messages, { size, connections });
      if (connections !== 8) continue;
      const window = FULL_WINDOW;
      figures[`pipelined${size}`] = await echoCost(pair, plan.messages, { size, connections, window });
    }
  }
  return figures;
}

/**
 * @param {Pair} pair
 * @param {number} total
 * @param {{ size: number, connections: number, window?: number }} task
 */
async function echoCost(pair, total, { size, connections, window = 1 }) {
  const messages = Math.ceil(pair.scaled(total) / connections);
  await echo(pair, Math.ceil(messages * WARM_UP), size, window);
  await pair.clients.ask({ do: "prepare", size, messages });
  const spent = await pair.cpuOf(() => pair.clients.ask({ do: "echo", size, messages, window }));
  return spent / (messages * connections);
}

/** @param {Pair} pair @param {number} messages @param {number} size @param {number} window */
async function echo({ clients }, messages, size, window) {
  await clients.ask({ do: "prepare", size, messages });
  return await clients.ask({ do: "echo", size, messages, window });
}

/** @param {Pair} pair @param {Plan} plan @returns {Promise<Figures>} */
async function streamIn(pair, plan) {
  const { measured, clients } = pair;
  const size = FRAME;
  const total = pair.scaled(plan.streamed);
  await pair.open(8, { echoing: false });
  const pour = async (/** @type {number} */ each) => {
    await measured.ask({ do: "count" });
    await clients.ask({ do: "prepare", size, messages: each });
    return pair.cpuOf(async () => {
      await clients.ask({ do: "pour", size, messages: each });
      await measured.ask({ do: "received", size, messages: each * 8 });
    });
  };
  const each = Math.ceil(total / 8);
  await pour(Math.ceil(each * WARM_UP));
  return { streamIn452: (each * 8 * size) / (await pour(each)) };
}

/** @param {Pair} pair @param {Plan} plan @returns {Promise<Figures>} */
async function streamOut(pair, plan) {
  const { measured, clients } = pair;
  // A broker sends nothing of its own.
  if (pair.contender.name === "mosquitto") return {};
  const size = MESSAGE;
  const each = Math.ceil(pair.scaled(plan.streamed) / 8);
  await pair.open(8);
  const stream = (/** @type {number} */ messages) =>
    pair.cpuOf(() =>
      Promise.all([clients.ask({ do: "drain", size, messages }), measured.ask({ do: "stream", size, messages })]),
    );
  await stream(Math.ceil(each * WARM_UP));
  return { streamOut1808: (each * 8 * size) / (await stream(each)) };
}

/** Resident memory that an idle session adds, after a collection before and after; and what they all cost a second. */
async function idle(/** @type {Pair} */ pair, /** @type {Plan} */ plan) {
  // Too few would be lost in what the process takes and gives back anyway.
  const count = Math.max(pair.scaled(plan.sessions), Math.min(plan.sessions, LEAST_SESSIONS));
  await pair.open(FIRST_SESSIONS);
  await pair.close();
  const kilobytesEach = async () => {
    const before = await pair.collectedBytes();
    await pair.open(count, { echoing: false });
    return ((await pair.collectedBytes()) - before) / 1_000 / count;
  };
  const first = await kilobytesEach();
  const spent = await pair.cpuOf(() => new Promise((resolve) => setTimeout(resolve, plan.idleSeconds * 1_000)));
  await pair.close();
  /** @type {Figures} */
  const figures = { idle: first, idleAgain: await kilobytesEach(), idleCpu: spent / 1_000 / plan.idleSeconds };
  return figures;
}

/** The highest load that this server takes from this load, then half of it on a schedule. */
async function latency(/** @type {Pair} */ pair, /** @type {Plan} */ plan) {
  const connections = 8;
  const size = 64;
  await pair.open(connections);
  const messages = Math.ceil(plan.messages / connections);
  await echo(pair, messages, size, FULL_WINDOW);
  const { seconds } = await echo(pair, messages, size, FULL_WINDOW);
  const perSecond = Math.floor((messages * connections) / seconds / 2);
  const paced = async (/** @type {number} */ howLong) => {
    await pair.clients.ask({ do: "prepare", size, messages: Math.ceil((perSecond * howLong) / connections) });
    return await pair.clients.ask({ do: "paced", size, perSecond });
  };
  await paced(plan.pacedSeconds * WARM_UP);
  const { p50, p99, p999 } = await paced(plan.pacedSeconds);
  return { p50, p99, p999, halfLoad: perSecond };
}

/** The cost of an echo while so many sessions are there and all talk. */
async function growth(/** @type {Pair} */ pair, /** @type {Plan} */ plan) {
  /** @type {Figures} */
  const figures = {};
  let open = 0;
  for (const connections of plan.growth) {
    await pair.open(connections - open);
    open = connections;
    figures[`growth${connections}`] = await echoCost(pair, plan.messages, { size: 64, connections });
  }
  return figures;
}

/** @param {Pair} pair @param {Plan} plan @returns {Promise<Figures>} */
async function udpEcho(pair, plan) {
  await pair.open(8);
  const messages = Math.ceil(pair.scaled(plan.udp) / 8);
  /** @type {Figures} */
  const figures = {};
  for (const size of SIZES) {
    const work = (/** @type {number} */ count) => pair.clients.ask({ do: "echo", size, messages: count, window: 1 });
    await work(Math.ceil(messages * WARM_UP));
    figures[`udp${size}`] = (await pair.cpuOf(() => work(messages))) / (messages * 8);
  }
  return figures;
}
