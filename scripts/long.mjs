/**
 * What takes longer than `npm test` may: `npm run long` lists its targets, `npm run long -- NAME [--option value]` runs one.
 * `npm run fuzz` is the target "fuzz". All take `--seed N`; without it each run has a fresh one, which is printed.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { ensurePackages, ensurePythonSdk } from "./dependencies.mjs";
import { runLoad } from "./long/load.mjs";
import { runStress } from "./long/stress.mjs";
import { runTool } from "./run.mjs";

const MAX_SEED = 2 ** 32 - 1;

/**
 * @typedef {object} Target
 * @property {string} what
 * @property {Record<string, string>} options with their usual values, all whole numbers
 * @property {(values: any) => Promise<boolean>} run gets the options and the seed as numbers
 */

/** @type {Record<string, Target>} */
const TARGETS = {
  simulation: {
    what: "every simulation of the core, for so many schedules each",
    options: { schedules: "1000000" },
    run: ({ schedules, seed }) => vitest("simulation", [], { USMP_SCHEDULES: schedules, USMP_SEED: seed }),
  },
  fuzz: {
    what: "every fuzz test, for so many seconds each",
    options: { seconds: "3600" },
    run: ({ seconds, seed }) => vitest("fuzz", [], { USMP_FUZZ_SECONDS: seconds, USMP_SEED: seed }),
  },
  server: {
    what: "a server through so many sessions, ten minutes of thousands of idle ones, and ten minutes of being stopped",
    options: { cycles: "1000000" },
    run: ({ cycles, seed }) =>
      vitest("e2e", ["endurance", "suspended"], { USMP_CYCLES: cycles, USMP_SUSPEND_MS: 600_000, USMP_SEED: seed }),
  },
  gateway: {
    what: "a gateway with its devices through ten minutes of being stopped, out of descriptors, and 1,000 devices through a restart",
    options: { "stopped-seconds": "600" },
    run: ({ "stopped-seconds": seconds }) =>
      vitest("e2e", ["hard-times", "thousand-sessions"], { USMP_SUSPEND_MS: seconds * 1_000, USMP_RETURNING: 1_000 }),
  },
  stress: {
    what: "sessions of a gateway while stress-ng takes every core and most of the memory: none lost, UTACK p99.9 under 500 ms",
    options: { seconds: "600", sessions: "100", memory: "90" },
    run: async (load) => (await runTool("tsc", ["-b"])).ok && runStress(load),
  },
  crash: {
    what: "kill -9 of a gateway that changes keys, stores, queues and drains messages, on SQLite and PostgreSQL, for so many rounds each",
    options: { rounds: "50" },
    run: ({ rounds }) => vitest("crash", ["kill", "messages", "outbound"], { USMP_CRASH_ROUNDS: rounds }),
  },
  crowd: {
    what: "clients of the Python SDK connect to our server at 10, 20 and 30 % loss each way",
    options: { clients: "200" },
    run: async ({ clients, seed }) => {
      const reason = await ensurePythonSdk();
      if (reason !== undefined) throw new Error(`the Python SDK cannot be used: ${reason}; run: npm run test:setup`);
      const file = "packages/usmp/test/interop/lossy-crowd.test.ts";
      return vitest("interop", [file], { USMP_CROWD_CLIENTS: clients, USMP_SEED: seed });
    },
  },
  sessions: {
    what: "idle sessions with their keepalives, server and clients in processes of their own",
    options: { sessions: "10000", seconds: "600", udp: "1" },
    run: ({ sessions, seconds, udp, seed }) =>
      load({ sessions, seconds, transport: udp === 1 ? "udp" : "tcp", loss: 0, pauseMs: 0, seed }),
  },
  traffic: {
    what: "traffic over a lossy line, for hours: messages of all sizes and their echoes, in order",
    options: { sessions: "5", seconds: "7200", loss: "10" },
    run: ({ sessions, seconds, loss, seed }) =>
      load({ sessions, seconds, transport: "udp", loss: loss / 100, pauseMs: 20, seed }),
  },
  lossy: {
    what: "many sessions over a line that loses 20 % each way",
    options: { sessions: "200", seconds: "120", loss: "20" },
    run: ({ sessions, seconds, loss, seed }) =>
      load({ sessions, seconds, transport: "udp", loss: loss / 100, pauseMs: 1_000, seed }),
  },
};

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

/** @param {readonly string[]} args */
async function main([name, ...rest]) {
  if (name === undefined) return list();
  const target = TARGETS[name];
  if (target === undefined) throw new Error(`no target "${name}": give one of ${Object.keys(TARGETS).join(", ")}`);
  const usual = { ...target.options, seed: String(randomInt(MAX_SEED + 1)) };
  const options = Object.entries(usual).map(([option, value]) => [option, { type: "string", default: value }]);
  const { values } = parseArgs({ args: rest, options: Object.fromEntries(options) });
  const numbers = Object.fromEntries(Object.entries(values).map(([option, text]) => [option, whole(option, text)]));
  await ensurePackages();
  const repeat = Object.entries(numbers).map(([option, value]) => `--${option} ${value}`);
  console.log(`${name}: ${target.what}\nRepeat with: npm run long -- ${name} ${repeat.join(" ")}`);
  return (await target.run(numbers)) ? 0 : 1;
}

function list() {
  console.log("npm run long -- NAME [--option value]\n");
  for (const [name, { what, options }] of Object.entries(TARGETS)) {
    const settings = Object.entries(options).map(([option, value]) => `--${option} ${value}`);
    console.log(`  ${name.padEnd(11)} ${what} (${settings.join(" ")})`);
  }
  return 0;
}

/**
 * @param {string} project
 * @param {readonly string[]} files
 * @param {Record<string, number | undefined>} settings
 */
async function vitest(project, files, settings) {
  const env = Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  return (await runTool("vitest", ["run", "--project", project, ...files], { env })).ok;
}

/**
 * On what is built, as users run it.
 * @param {import("./long/load.mjs").Load} settings
 */
async function load(settings) {
  const built = await runTool("tsc", ["-b"]);
  return built.ok && runLoad(settings);
}

/**
 * @param {string} option
 * @param {unknown} text
 */
function whole(option, text) {
  const value = Number(text);
  if (
    typeof text === "string" &&
    /^\d+$/.test(text) &&
    value <= (option === "seed" ? MAX_SEED : Number.MAX_SAFE_INTEGER)
  ) {
    return value;
  }
  throw new Error(`--${option} is "${text}": give a whole number${option === "seed" ? ` from 0 to ${MAX_SEED}` : ""}`);
}
