/**
 * `npm run bench:workers [-- --messages N] [--rounds N] [--json FILE]`: what a message costs in CPU time of all processes of a server, with its
 * sessions in one process and in several, and with the application beside the sessions or in the process that listens. The variants
 * take turns, so that what else the machine does falls on all of them; each figure is the median of the rounds, with the spread.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect } from "usmp";
import { answerRequests, Child } from "./child.mjs";

const HOST = "127.0.0.1";
const TICK_MICROSECONDS = 10_000;
/** Sessions: more than one, so that each worker has some; each waits for its echo before it sends again. */
const CONNECTIONS = { tcp: 16, udp: 16 };
const VARIANTS = [
  { name: "no workers", workers: 0, application: true },
  { name: "1 worker, echo in it", workers: 1, application: true },
  { name: "2 workers, echo in them", workers: 2, application: true },
  { name: "1 worker, echo in the first process", workers: 1, application: false },
  { name: "2 workers, echo in the first process", workers: 2, application: false },
];
const WORK = /** @type {const} */ ([
  { transport: "tcp", bytes: 64 },
  { transport: "tcp", bytes: 452 },
  { transport: "udp", bytes: 64 },
]);

if (process.argv[2] === "load") await load();
else await measure();

/** The clients, in a process of their own. */
async function load() {
  /** @type {import("usmp").Session[]} */
  let sessions = [];
  await answerRequests({
    async open({ transport, port, psk }) {
      const options = { host: HOST, port, transport, psk: Buffer.from(psk, "hex") };
      sessions = await Promise.all(Array.from({ length: CONNECTIONS[transport] }, () => connect(options)));
    },
    async echo({ messages, bytes }) {
      const message = randomBytes(bytes);
      const each = Math.ceil(messages / sessions.length);
      await Promise.all(
        sessions.map(async (session) => {
          for (let i = 0; i < each; i++) {
            await session.send(message);
            await session.receive();
          }
        }),
      );
      return { messages: each * sessions.length };
    },
    async close() {
      await Promise.all(sessions.map((session) => session.close()));
    },
  });
}

async function measure() {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "40000" },
      rounds: { type: "string", default: "5" },
      json: { type: "string" },
    },
  });
  const messages = Number(values.messages);
  /** @type {Map<string, number[]>} */
  const samples = new Map();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const variant of VARIANTS) {
      for (const work of WORK) {
        const key = `${work.transport} ${work.bytes} B | ${variant.name}`;
        const costs = samples.get(key) ?? [];
        samples.set(key, costs);
        costs.push(await costOf(variant, work, work.transport === "udp" ? messages / 4 : messages));
      }
    }
  }
  report(samples, values.json);
}

/**
 * Microseconds of CPU a message: of all the server's processes, both directions together.
 * @param {typeof VARIANTS[number]} variant @param {typeof WORK[number]} work @param {number} messages
 */
async function costOf(variant, { transport, bytes }, messages) {
  const psk = randomBytes(32).toString("hex");
  const server = new Child([
    process.execPath,
    fileURLToPath(new URL("./servers/workers.mjs", import.meta.url)),
    "serve",
  ]);
  const clients = new Child([process.execPath, fileURLToPath(import.meta.url), "load"]);
  try {
    const { workers, application } = variant;
    const { tcp, udp, pids } = await server.ask({ do: "serve", psk, workers, application });
    await clients.ask({ do: "open", transport, port: transport === "tcp" ? tcp : udp, psk });
    await clients.ask({ do: "echo", messages: messages / 4, bytes });
    const before = cpuOf(pids);
    const done = await clients.ask({ do: "echo", messages, bytes });
    const cost = (cpuOf(pids) - before) / done.messages;
    await clients.ask({ do: "close" });
    await server.ask({ do: "close" });
    return cost;
  } finally {
    await Promise.all([clients.stop(), server.stop()]);
  }
}

/** User and system time of all of them so far, in microseconds. @param {readonly number[]} pids */
function cpuOf(pids) {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MICROSECONDS;
  }, 0);
}

/** @param {Map<string, number[]>} samples @param {string | undefined} file */
function report(samples, file) {
  const { version } = process;
  console.log(
    `${cpus().length} cores (${cpus()[0]?.model}), Node ${version}; microseconds of CPU a message and its echo`,
  );
  /** @type {{ work: string, variant: string, median: number, low: number, high: number, toOne: number }[]} */
  const rows = [];
  for (const { transport, bytes } of WORK) {
    const work = `${transport} ${bytes} B`;
    const medianOf = (/** @type {string} */ name) => middle(samples.get(`${work} | ${name}`) ?? []);
    for (const { name, application } of VARIANTS) {
      const costs = samples.get(`${work} | ${name}`) ?? [];
      const one = medianOf(application ? "1 worker, echo in it" : "1 worker, echo in the first process");
      const row = { work, variant: name, median: middle(costs), low: Math.min(...costs), high: Math.max(...costs) };
      rows.push({ ...row, toOne: row.median / one });
    }
  }
  for (const { work, variant, median, low, high, toOne } of rows) {
    const spread = `${low.toFixed(1)} to ${high.toFixed(1)}`;
    console.log(
      `${work.padEnd(10)} ${variant.padEnd(38)} ${median.toFixed(1).padStart(7)} (${spread})  ${toOne.toFixed(2)} of one worker`,
    );
  }
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ node: version, rows }, undefined, 2)}\n`);
}

/** @param {readonly number[]} values */
function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
