/**
 * `npm run bench:udp [-- --seconds N] [--rounds N] [--loss 0,2,10] [--rtt MS] [--json]`: a one-way stream of 452-byte messages over UDP through a
 * relay with that round trip and that loss each way, between two ends of ours, two of the Python SDK, and one of each. What counts is a
 * message that was acknowledged. Every process has its own; the relay is this one's. Loopback only, bounded by --seconds.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SeededRandom, UdpRelay } from "@usmp/testkit";
import { ensurePythonSdk } from "../scripts/dependencies.mjs";
import { run } from "../scripts/run.mjs";
import { Child } from "./child.mjs";
import { summarize } from "./statistics.mjs";

const MESSAGE_BYTES = 452;
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const OURS = [process.execPath, here("loads/stream.mjs")];
const SDK = [process.env.USMP_PYTHON ?? here("../.cache/python-sdk/bin/python"), here("servers/stream.py")];
const PAIRS = [
  { name: "ours to ours", from: OURS, to: OURS },
  { name: "ours to the SDK", from: OURS, to: SDK },
  { name: "the SDK to ours", from: SDK, to: OURS },
  { name: "the SDK to the SDK", from: SDK, to: SDK },
];

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "8" },
    rounds: { type: "string", default: "3" },
    loss: { type: "string", default: "0,2,10" },
    rtt: { type: "string", default: "50" },
    json: { type: "boolean", default: false },
  },
});
const built = await run(process.execPath, ["scripts/build.mjs"]);
if (!built.ok) throw new Error("the build failed, so there is nothing to measure");
const reason = await ensurePythonSdk();
const pairs = reason === undefined && existsSync(SDK[0] ?? "") ? PAIRS : PAIRS.slice(0, 1);
if (pairs.length < PAIRS.length)
  console.error(`The Python SDK is left out: ${reason ?? "its interpreter is not there"}`);

for (const percent of values.loss.split(",").map(Number)) {
  /** @type {Map<string, number[]>} */
  const rates = new Map(pairs.map(({ name }) => [name, []]));
  // Pairs take turns, because timings drift.
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const pair of pairs) rates.get(pair.name)?.push(await stream(pair, percent / 100, round));
  }
  report(percent, rates);
}

/**
 * @param {typeof PAIRS[number]} pair
 * @param {number} loss
 * @param {number} seed
 * @returns {Promise<number>} bytes of acknowledged messages a second
 */
async function stream({ from, to, name }, loss, seed) {
  const psk = randomBytes(32).toString("hex");
  const [sender, receiver] = [new Child(from), new Child(to)];
  const { port } = await receiver.ask({ do: "receive", psk });
  const relay = await UdpRelay.start({
    server: { host: "127.0.0.1", port },
    random: new SeededRandom(seed),
    conditions: { latencyMs: Number(values.rtt) / 2, drop: loss },
  });
  try {
    const seconds = Number(values.seconds);
    const { acknowledged } = await sender.ask({ do: "send", psk, port: relay.address.port, seconds });
    return (acknowledged * MESSAGE_BYTES) / seconds;
  } catch (error) {
    // The SDK's handshake and its five sends do not survive every lossy line: that is a figure, too.
    console.error(`${name}: ${error instanceof Error ? error.message : error}`);
    return 0;
  } finally {
    relay.close();
    await Promise.all([sender.stop(), receiver.stop()]);
  }
}

/**
 * @param {number} percent
 * @param {Map<string, number[]>} rates
 */
function report(percent, rates) {
  const sdk = summarize(rates.get("the SDK to the SDK") ?? []).median;
  for (const [name, all] of rates) {
    const { median, min, max } = summarize(all);
    if (values.json)
      console.log(JSON.stringify({ lossPercent: percent, pair: name, bytesPerSecond: median, min, max }));
    else {
      const figures = `${kilo(median)} kB/s (${kilo(min)} to ${kilo(max)})`;
      console.log(
        `${String(percent).padStart(2)} % loss  ${name.padEnd(20)} ${figures.padEnd(28)} ${(median / sdk).toFixed(2)} of the SDK's own`,
      );
    }
  }
}

/** @param {number} bytes */
function kilo(bytes) {
  return (bytes / 1_000).toFixed(1);
}
