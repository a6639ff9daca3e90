/** Honest devices: some that stay and talk, and one after the other that comes anew. What both experience is what counts. */
import { createHistogram } from "node:perf_hooks";
import { connect } from "usmp";
import { answerRequests } from "../child.mjs";

const TRANSPORTS = /** @type {const} */ (["tcp", "udp"]);
const STAYING = 10;
const BETWEEN_MESSAGES_MS = 20;
const BETWEEN_CONNECTS_MS = 50;
/** A device that does not come in within this time has failed. */
const CONNECT_LIMIT_MS = 10_000;

/** @type {import("usmp").Session[]} */
let staying = [];
let nextDevice = 0;

/** @param {{ tcp: number, udp: number, psk: string }} server @param {"tcp" | "udp"} transport */
function open(server, transport) {
  nextDevice++;
  return connect({
    host: "127.0.0.1",
    port: server[transport],
    transport,
    psk: Buffer.from(server.psk, "hex"),
    deviceId: Uint8Array.from([2, 1, 0, nextDevice >> 16, nextDevice >> 8, nextDevice]),
    handshakeTimeoutMs: CONNECT_LIMIT_MS,
  });
}

/** @param {number} milliseconds */
function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

class Measured {
  #times = createHistogram();
  failed = 0;

  /** @param {() => Promise<unknown>} what */
  async time(what) {
    const started = performance.now();
    try {
      await what();
      this.#times.record(Math.max(1, Math.round((performance.now() - started) * 1_000)));
    } catch {
      this.failed++;
    }
  }

  /** Milliseconds. */
  get summary() {
    const at = (/** @type {number} */ percentile) => this.#times.percentile(percentile) / 1_000;
    return { count: this.#times.count, p50: at(50), p99: at(99), max: this.#times.max / 1_000, failed: this.failed };
  }
}

await answerRequests({
  async open(server) {
    for (const transport of TRANSPORTS) {
      for (let i = 0; i < STAYING; i++) staying.push(await open(server, transport));
    }
  },

  async measure({ server, ms }) {
    const end = performance.now() + ms;
    const results = Object.fromEntries(
      ["tcp echo", "udp echo", "tcp connect", "udp connect"].map((name) => [name, new Measured()]),
    );
    const talking = staying.map(async (session) => {
      while (performance.now() < end && session.open) {
        await results[`${session.transport} echo`]?.time(async () => {
          await session.send("twenty bytes of text");
          await session.receive();
        });
        await after(BETWEEN_MESSAGES_MS);
      }
    });
    const coming = TRANSPORTS.map(async (transport) => {
      while (performance.now() < end) {
        /** @type {import("usmp").Session | undefined} */
        let session;
        await results[`${transport} connect`]?.time(async () => {
          session = await open(server, transport);
          await session.ping();
        });
        session?.abort();
        await after(BETWEEN_CONNECTS_MS);
      }
    });
    await Promise.all([...talking, ...coming]);
    const lost = staying.filter(({ open }) => !open).length;
    staying = staying.filter(({ open }) => open);
    return { lost, ...Object.fromEntries(Object.entries(results).map(([name, { summary }]) => [name, summary])) };
  },
});
