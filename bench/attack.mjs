/**
 * `npm run bench:attack`: what honest devices notice of each kind of flood, beside the calm figures. Server, devices and attacker are
 * processes of their own; on few cores they also take each other's time, which the figures contain.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { run } from "../scripts/run.mjs";
import { Child } from "./child.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const HELP = `npm run bench:attack -- [--seconds N] [--datagrams N] [--connections N] [--only TEXT] [--json]
  --seconds N      of each attack (default 5)
  --datagrams N    a second, of the attacks over UDP (default 5000)
  --connections N  a second, of the attacks over TCP (default 500)
  --only TEXT      attacks whose name contains it, beside the calm`;

const HEADINGS = [
  "p50 / p99 in ms".padEnd(58),
  "acts/s".padStart(7),
  "TCP connect".padStart(15),
  "UDP connect".padStart(15),
  "failed".padStart(9),
  "TCP echo".padStart(13),
  "UDP echo".padStart(13),
  "lost".padStart(5),
  "CPU %".padStart(6),
  "+MB".padStart(5),
].join("");

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    datagrams: { type: "string", default: "5000" },
    connections: { type: "string", default: "500" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(HELP);
else if (process.platform !== "linux") {
  console.error("The bench reads CPU time and memory from /proc, and uses all of 127.0.0.0/8: run it on Linux.");
  process.exitCode = 1;
} else await bench();

async function bench() {
  const built = await run(process.execPath, ["scripts/build.mjs"]);
  if (!built.ok) throw new Error("the build failed, so there is nothing to measure");
  const ms = positive("seconds") * 1_000;
  const names = await attackNames();
  const rows = [];
  if (!options.json) console.log(`${HEADINGS}\n${"-".repeat(HEADINGS.length)}`);
  for (const name of names.filter((each) => each === "calm" || each.includes(options.only))) {
    const row = await measure(name, ms);
    rows.push(row);
    if (!options.json) console.log(line(row));
  }
  if (options.json) console.log(JSON.stringify(rows, undefined, 2));
}

async function attackNames() {
  const attacker = load("attack");
  const { names } = await attacker.ask({ do: "names" });
  await attacker.stop();
  return /** @type {string[]} */ (names);
}

/** A server, devices and an attacker for each: nothing of one attack is left in the next. @param {string} name @param {number} ms */
async function measure(name, ms) {
  const psk = randomBytes(32).toString("hex");
  const server = new Child([process.execPath, join(FOLDER, "servers", "attacked.mjs")]);
  const [honest, attacker] = [load("honest"), load("attack")];
  try {
    const ports = await server.ask({ do: "serve", psk });
    const where = { ...ports, psk };
    await honest.ask({ do: "open", ...where });
    const before = { cpu: server.cpuMicroseconds, resident: server.residentBytes };
    const perSecond = positive(/TCP/.test(name) ? "connections" : "datagrams");
    const attack = attacker.ask({ do: "attack", name, server: where, perSecond, ms: ms + 500 });
    const seen = await honest.ask({ do: "measure", server: where, ms });
    const cpuPercent = (server.cpuMicroseconds - before.cpu) / ms / 10;
    const grownMegabytes = (server.residentBytes - before.resident) / 2 ** 20;
    const { refused, dropped } = await server.ask({ do: "statistics" });
    return { name, ...(await attack), ...seen, cpuPercent, grownMegabytes, refused, dropped };
  } finally {
    await Promise.all([server, honest, attacker].map((child) => child.stop()));
  }
}

/** @param {string} name */
function load(name) {
  return new Child([process.execPath, join(FOLDER, "loads", `${name}.mjs`)]);
}

/** @param {any} row */
function line(row) {
  const times = (/** @type {{ p50: number, p99: number }} */ { p50, p99 }) => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
  const [tcp, udp] = [row["tcp connect"], row["udp connect"]];
  const failed = tcp.failed + udp.failed;
  return [
    row.name.padEnd(58),
    String(row.perSecond).padStart(7),
    times(tcp).padStart(15),
    times(udp).padStart(15),
    `${failed} of ${tcp.count + udp.count + failed}`.padStart(9),
    times(row["tcp echo"]).padStart(13),
    times(row["udp echo"]).padStart(13),
    String(row.lost).padStart(5),
    row.cpuPercent.toFixed(0).padStart(6),
    row.grownMegabytes.toFixed(0).padStart(5),
  ].join("");
}

/** @param {"seconds" | "datagrams" | "connections"} option */
function positive(option) {
  const number = Number(options[option]);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${option} is ${JSON.stringify(options[option])}; it must be a whole number, at least 1`);
}
