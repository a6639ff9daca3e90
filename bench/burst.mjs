/**
 * `node bench/burst.mjs [--clients N] [--workers N] [--udp]`: so many devices come back at once, over real sockets, while sessions that are
 * established go on. Prints the round trips of those in the calm and in the burst, and when all devices were in. Devices that are not let in
 * (their handshake ran out of time) try again, as links do. Exit code 1 when one was not let in.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, listen } from "usmp";

const benchPsk = new Uint8Array(32).fill(7);
const HOST = "127.0.0.1";
const STEADY_SESSIONS = 8;
/** Between two round trips of one steady session. */
const PACE_MS = 5;
const CALM_MS = 3_000;
const LIMIT_MS = 120_000;

const roles = { serve, steady, crowd };
const role = /** @type {keyof typeof roles | undefined} */ (process.argv[2]);
if (role !== undefined && role in roles) await roles[role]();
else process.exitCode = await burst();

/** The server: echoes. It is also the program of none but itself, so its echo runs in the process that listens. */
async function serve() {
  const workers = Number(process.argv[3]);
  const server = await listen({
    tcp: `${HOST}:0`,
    udp: `${HOST}:0`,
    psk: benchPsk,
    ...(workers > 0 && {
      workers,
      application: { module: new URL("./servers/workers.mjs", import.meta.url) },
    }),
    onSession: async (session) => {
      if (workers === 0) for await (const message of session) await session.send(message).catch(() => {});
    },
  });
  process.send?.({ ports: server.addresses.map(({ port }) => port) });
  process.on("message", () => process.send?.({ statistics: server.statistics }));
}

/** Sessions that were there before: each sends, waits for the echo, and rests. Answers the round trips since it was last asked. */
async function steady() {
  const [, , , port, transport] = process.argv;
  /** @type {number[]} */
  let trips = [];
  process.on("message", () => {
    process.send?.({ trips });
    trips = [];
  });
  const sessions = await Promise.all(Array.from({ length: STEADY_SESSIONS }, () => open(port, transport)));
  process.send?.({});
  for (const session of sessions) void goOn(session);

  /** @param {import("usmp").Session} session */
  async function goOn(session) {
    for (;;) {
      const began = performance.now();
      await session.send("steady");
      await session.receive();
      trips.push(performance.now() - began);
      await delay(PACE_MS);
    }
  }
}

/** Devices that come at once. */
async function crowd() {
  const [, , , port, transport, count] = process.argv;
  await once(process, "message");
  const began = performance.now();
  let failures = 0;
  const inAfter = await Promise.all(
    Array.from({ length: Number(count) }, async () => {
      for (;;) {
        try {
          await open(port, transport);
          return performance.now() - began;
        } catch {
          failures++;
          if (performance.now() - began > LIMIT_MS) return Number.POSITIVE_INFINITY;
          await delay(500 * Math.random());
        }
      }
    }),
  );
  process.send?.({ inAfter, failures });
  await once(process, "message");
}

async function burst() {
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: "2000" },
      workers: { type: "string", default: "0" },
      udp: { type: "boolean", default: false },
    },
  });
  const transport = values.udp ? "udp" : "tcp";
  const server = start("serve", values.workers);
  const [{ ports }] = await once(server, "message");
  const port = String(ports[values.udp ? 1 : 0]);
  const probe = start("steady", port, transport);
  await once(probe, "message");
  const devices = start("crowd", port, transport, values.clients);
  await delay(1_000);
  await ask(probe);
  await delay(CALM_MS);
  const calm = (await ask(probe)).trips;
  const { inAfter, failures } = await ask(devices);
  const during = (await ask(probe)).trips;
  const { statistics } = await ask(server);
  for (const child of [server, probe, devices]) child.kill("SIGKILL");
  const last = Math.max(...inAfter);
  console.log(`${cpus().length} cores, Node ${process.version}, ${transport}, workers: ${values.workers}`);
  console.log(`round trips in the calm:  ${summary(calm)}`);
  console.log(`round trips in the burst: ${summary(during)}`);
  console.log(
    `${inAfter.filter(Number.isFinite).length} of ${values.clients} devices were in after ${(last / 1_000).toFixed(1)} s, ` +
      `${Math.round((1_000 * inAfter.length) / last)} a second; ${failures} attempts were tried again; refused: ${JSON.stringify(statistics.refused)}`,
  );
  return Number.isFinite(last) ? 0 : 1;
}

/** @param {string[]} args */
function start(...args) {
  return fork(fileURLToPath(import.meta.url), args);
}

/** @param {import("node:child_process").ChildProcess} child @returns {Promise<any>} */
async function ask(child) {
  child.send({});
  const [answer] = await once(child, "message");
  return answer;
}

/** @param {string | undefined} port @param {string | undefined} transport */
function open(port, transport) {
  return connect({ host: HOST, port: Number(port), transport: transport === "udp" ? "udp" : "tcp", psk: benchPsk });
}

/** @param {readonly number[]} trips milliseconds */
function summary(trips) {
  const sorted = [...trips].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) =>
    (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(2);
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms (${trips.length})`;
}
