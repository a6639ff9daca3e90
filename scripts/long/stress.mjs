/**
 * Sessions of a gateway while stress-ng takes every core and most of the memory (threats page, case 33): none may be lost, and of the
 * messages over UDP 99.9 % have their UTACK within half a second, before devices of the field give up. Run by long.mjs on what is built.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { ROOT } from "../run.mjs";

const BIN = join(ROOT, "apps/cli/bin/usmp.mjs");
const UTACK_P999_MS = 500;
/** Of one session: a reading a second. */
const PAUSE_MS = 1_000;

/**
 * @param {{ seconds: number, sessions: number, memory: number }} load `memory`: percent of what is available
 * @returns {Promise<boolean>}
 */
export async function runStress({ seconds, sessions, memory }) {
  const { connect, Secret } = await import("usmp");
  const data = mkdtempSync(join(tmpdir(), "usmp-stress-"));
  const gateway = spawn(process.execPath, [
    BIN,
    ...["gateway", "--data", data, "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"],
  ]);
  try {
    const ports = await listening(gateway);
    const add = ["device", "add", "--count", String(sessions), "--data", data, "--json"];
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, ...add], { maxBuffer: 1e9 });
    const devices = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const open = await Promise.all(
      devices.map(({ id, psk }, i) => {
        const transport = /** @type {const} */ (["tcp", "udp"])[i % 2];
        const place = { host: "127.0.0.1", port: ports[transport ?? "tcp"], deviceId: id };
        return connect({ ...place, transport, psk: new Secret(Buffer.from(psk, "hex")) });
      }),
    );
    const words = [
      "--cpu",
      "0",
      "--vm",
      "1",
      "--vm-bytes",
      `${memory}%`,
      "--vm-keep",
      "--timeout",
      `${seconds}s`,
      "--quiet",
    ];
    const stress = spawn("stress-ng", words, { stdio: "inherit" });
    const ended = once(stress, "close");
    await once(stress, "spawn");
    const end = performance.now() + seconds * 1_000;
    /** @type {number[]} */
    const waits = [];
    await Promise.all(open.map((session, i) => talk(session, i, end, waits)));
    await ended;
    const lost = open.filter((session) => !session.open).length;
    for (const session of open) session.abort();
    waits.sort((a, b) => a - b);
    const p999 = waits[Math.min(waits.length - 1, Math.floor(waits.length * 0.999))] ?? Number.POSITIVE_INFINITY;
    const good = lost === 0 && p999 < UTACK_P999_MS;
    const figures = { good, seconds, sessions, memory, cores: availableParallelism(), lost, messages: waits.length };
    const at = (/** @type {number} */ share) => Number(waits[Math.floor(waits.length * share)]?.toFixed(1));
    console.log(
      JSON.stringify({ ...figures, utackMs: { p50: at(0.5), p99: at(0.99), p999: Number(p999.toFixed(1)) } }),
    );
    return good;
  } finally {
    gateway.kill("SIGKILL");
    rmSync(data, { recursive: true, force: true });
  }
}

/**
 * @param {import("usmp").Session} session
 * @param {number} index
 * @param {number} end
 * @param {number[]} waits of messages over UDP, whose send() resolves with the UTACK
 */
async function talk(session, index, end, waits) {
  await pause((index * 37) % PAUSE_MS);
  while (performance.now() < end && session.open) {
    const sent = performance.now();
    try {
      await session.send("21.5 °C");
    } catch {
      return;
    }
    if (session.peer.transport === "udp") waits.push(performance.now() - sent);
    await pause(PAUSE_MS);
  }
}

/**
 * @param {import("node:child_process").ChildProcessWithoutNullStreams} gateway
 * @returns {Promise<{ tcp: number, udp: number }>}
 */
async function listening(gateway) {
  const ports = { tcp: 0, udp: 0 };
  const lines = createInterface({ input: gateway.stdout });
  for await (const line of lines) {
    const event = JSON.parse(line);
    if (event.event === "listening") ports[/** @type {"tcp" | "udp"} */ (event.transport)] = event.port;
    if (ports.tcp > 0 && ports.udp > 0) break;
  }
  gateway.stdout.resume();
  return ports;
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
