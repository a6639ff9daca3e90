/**
 * `npm run stampede [-- --clients N] [--udp] [--down SECONDS]`: so many links of this process, over real sockets, to a server process that is
 * killed and comes back on the same port. Prints how many sessions it saw in each second, and the two figures that count: when all were
 * back, and the fullest second. Exit code 1 when they are not what docs/reconnect.md promises.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, listen } from "usmp";

const benchPsk = new Uint8Array(32).fill(7);
const HOST = "127.0.0.1";
/** All attempts have failed or succeeded by then, and nobody waits longer than the backoff's default ceiling. */
const LIMIT_MS = 120_000;
const BACK_WITHIN_S = 31;
const MOST_PER_SECOND = 500;
/** Idle peers over UDP find out at their next PING; the default of 30 s would only be waited for. */
const UDP_KEEPALIVE_MS = 5_000;

const [role = "clients"] = process.argv.slice(2);
if (role === "serve") await serve();
else process.exitCode = await stampede();

/** The server process: tells its parent when it listens, and the time of each session. */
async function serve() {
  const [, port, transport] = process.argv.slice(2);
  const server = await listen({
    [transport === "udp" ? "udp" : "tcp"]: `${HOST}:${port}`,
    psk: benchPsk,
    onSession: () => process.send?.({ at: Date.now() }),
  });
  process.send?.({ port: server.addresses[0]?.port });
}

async function stampede() {
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: "1000" },
      down: { type: "string", default: "2" },
      udp: { type: "boolean", default: false },
    },
  });
  const clients = Number(values.clients);
  const transport = values.udp ? "udp" : "tcp";
  const first = await start(0, transport);
  const links = await Promise.all(Array.from({ length: clients }, () => open(first.port, transport)));
  await Promise.all(links.map((link) => link.connected()));
  console.log(
    `${clients} links over ${transport} are connected; the server is killed, and back after ${values.down} s`,
  );
  first.child.kill("SIGKILL");
  await delay(Number(values.down) * 1_000);
  const second = await start(first.port, transport);
  const returned = Date.now();
  const patience = Date.now() + LIMIT_MS;
  while (second.sessions.length < clients && Date.now() < patience) await delay(100);
  for (const link of links) link.abort();
  second.child.kill("SIGKILL");
  return report(
    second.sessions.map((at) => at - returned),
    clients,
    transport,
  );
}

/** @param {number} port @param {"tcp" | "udp"} transport */
async function start(port, transport) {
  const child = fork(fileURLToPath(import.meta.url), ["serve", String(port), transport]);
  /** @type {number[]} */
  const sessions = [];
  const [listening] = await once(child, "message");
  child.on("message", (/** @type {{ at: number }} */ { at }) => sessions.push(at));
  return { child, sessions, port: Number(listening.port) };
}

/** @param {number} port @param {"tcp" | "udp"} transport */
function open(port, transport) {
  const keepalive = transport === "udp" ? { keepaliveMs: UDP_KEEPALIVE_MS } : {};
  return connect({ host: HOST, port, transport, psk: benchPsk, ...keepalive, reconnect: true });
}

/** @param {readonly number[]} back milliseconds after the server's return @param {number} clients @param {string} transport */
function report(back, clients, transport) {
  const seconds = new Array(Math.floor(Math.max(0, ...back) / 1_000) + 1).fill(0);
  for (const at of back) seconds[Math.max(0, Math.floor(at / 1_000))]++;
  const most = Math.max(...seconds);
  for (const [second, count] of seconds.entries()) {
    console.log(
      `${String(second).padStart(3)} s ${String(count).padStart(5)} ${"#".repeat(Math.ceil((60 * count) / most))}`,
    );
  }
  const last = Math.max(0, ...back) / 1_000;
  console.log(`${back.length} of ${clients} back in ${last.toFixed(1)} s; at most ${most} handshakes in one second`);
  const noticeS = transport === "udp" ? 20 : 0;
  return back.length === clients && most <= MOST_PER_SECOND && last <= BACK_WITHIN_S + noticeS ? 0 : 1;
}
