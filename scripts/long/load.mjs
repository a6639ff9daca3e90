/**
 * Sessions between a server and clients in processes of their own, through a lossy relay where loss is wanted: how many live, what they
 * carry, and what that costs. Run by long.mjs; `node load.mjs server|clients` are its children.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const LOOPBACK = "127.0.0.1";
/** Opens nothing but these runs. */
const TEST_PSK = new Uint8Array(32).fill(0x5a);
const REPORT_EVERY_MS = 10_000;
/** Handshakes that clients have under way at once. */
const AT_ONCE = 50;
/** Each way of the relay. */
const LATENCY_MS = 20;
const HANDSHAKE_TIMEOUT_MS = 60_000;

/**
 * @typedef {object} Load
 * @property {number} sessions
 * @property {number} seconds how long they stay, once all are there
 * @property {"tcp" | "udp"} transport
 * @property {number} loss each way, 0 to 1; needs udp
 * @property {number} pauseMs between the echo of a message and the next message of a session; 0: none are sent
 * @property {number} seed of the relay
 *
 * @typedef {{ open: number, failed: number, closed: number, wrong: number, echoes: number, rssMb: number, cpuSeconds: number }} Counts
 */

/**
 * Runs one load and prints how it goes; true when every session was established, stayed, and carried all in order.
 * @param {Load} load
 */
export async function runLoad(load) {
  const server = child("server");
  const { port } = await answer(server, { do: "listen", transport: load.transport });
  const relay = load.loss > 0 ? await lossyRelay(port, load) : undefined;
  const clients = child("clients");
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(0);
  const opened = answer(clients, { do: "connect", ...load, port: relay?.address.port ?? port });
  const report = async () => {
    const [ours, theirs] = [await answer(clients, { do: "count" }), await answer(server, { do: "count" })];
    console.log(`${seconds().padStart(5)} s  clients ${describe(ours)}; server ${describe(theirs)}`);
    return { ours, theirs };
  };
  const timer = setInterval(() => void report(), REPORT_EVERY_MS);
  await opened;
  console.log(`${seconds().padStart(5)} s  all handshakes are through`);
  await new Promise((resolve) => setTimeout(resolve, load.seconds * 1000));
  clearInterval(timer);
  const { ours, theirs } = await report();
  relay?.close();
  for (const process of [clients, server]) process.kill();
  const good = ours.open === load.sessions && ours.wrong === 0 && ours.failed === 0 && ours.closed === 0;
  console.log(JSON.stringify({ good, ...load, clients: ours, server: theirs }));
  return good;
}

/** @param {Counts} counts */
function describe({ open, failed, closed, wrong, echoes, rssMb, cpuSeconds }) {
  const bad = failed + closed + wrong === 0 ? "" : `, ${failed} failed, ${closed} closed, ${wrong} out of order`;
  return `${open} open${bad}, ${echoes} echoes, ${rssMb} MB, ${cpuSeconds.toFixed(1)} s of CPU`;
}

/**
 * @param {number} port
 * @param {Load} load
 */
async function lossyRelay(port, { loss, seed }) {
  const { SeededRandom, UdpRelay } = await import("@usmp/testkit");
  const conditions = { drop: loss, latencyMs: LATENCY_MS };
  return UdpRelay.start({ server: { host: LOOPBACK, port }, random: new SeededRandom(seed), conditions });
}

/** @param {"server" | "clients"} role */
function child(role) {
  return fork(fileURLToPath(import.meta.url), [role], { stdio: "inherit" });
}

/**
 * @param {import("node:child_process").ChildProcess} process
 * @param {object} request
 * @returns {Promise<any>}
 */
function answer(process, request) {
  const id = Math.random();
  return new Promise((resolve, reject) => {
    const onMessage = (/** @type {any} */ message) => {
      if (message.id !== id) return;
      process.off("message", onMessage);
      resolve(message);
    };
    process.on("message", onMessage);
    process.once("exit", (code) => reject(new Error(`a child process ended with code ${code}`)));
    process.send({ id, ...request });
  });
}

/** @type {Counts} */
const counts = { open: 0, failed: 0, closed: 0, wrong: 0, echoes: 0, rssMb: 0, cpuSeconds: 0 };

function counted() {
  const { user, system } = process.cpuUsage();
  return { ...counts, rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20), cpuSeconds: (user + system) / 1e6 };
}

/** @param {{ transport: "tcp" | "udp" }} request */
async function listenForAll({ transport }) {
  const { listen } = await import("usmp");
  const server = await listen({
    [transport]: `${LOOPBACK}:0`,
    psk: TEST_PSK,
    limits: { sessions: 15_000, handshakes: 1_000 },
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    onSession: async (session) => {
      counts.open++;
      void session.closed.then(() => counts.open--);
      for await (const message of session) {
        await session.send(message).catch(() => {});
        counts.echoes++;
      }
    },
  });
  return { port: server.addresses[0]?.port };
}

/** @param {Load & { port: number }} request */
async function connectAll({ sessions, transport, port, pauseMs }) {
  const { connect } = await import("usmp");
  let next = 0;
  const opener = async () => {
    while (next < sessions) {
      const number = next++;
      const deviceId = Uint8Array.from({ length: 6 }, (_, i) => (i < 2 ? 0xd0 : number >>> (8 * (5 - i))));
      try {
        const options = { host: LOOPBACK, port, transport, psk: TEST_PSK, deviceId };
        const session = await connect({ ...options, handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS });
        counts.open++;
        void session.closed.then(() => {
          counts.open--;
          counts.closed++;
        });
        if (pauseMs > 0) void talk(session, number, pauseMs);
      } catch {
        counts.failed++;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, opener));
  return {};
}

/**
 * Sends numbered messages of all sizes and waits for the echo of each.
 * @param {import("usmp").Session} session
 * @param {number} number
 * @param {number} pauseMs
 */
async function talk(session, number, pauseMs) {
  for (let i = 0; session.open; i++) {
    const message = `${number} ${i}`.padEnd((i * 97) % 1_808, "x");
    await session.send(message).catch(() => {});
    const echo = await session.receive().catch(() => undefined);
    if (echo === undefined) return;
    if (Buffer.from(echo).toString() !== message) counts.wrong++;
    counts.echoes++;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

const DUTIES = { listen: listenForAll, connect: connectAll, count: async () => counted() };

if (process.send !== undefined && ["server", "clients"].includes(process.argv[2] ?? "")) {
  process.on("message", async (/** @type {any} */ request) => {
    const duty = DUTIES[/** @type {keyof typeof DUTIES} */ (request.do)];
    process.send?.({ id: request.id, ...(await duty(request)) });
  });
  process.on("disconnect", () => process.exit());
}
