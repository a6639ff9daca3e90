/** Clients of our server over UDP, and of the Python SDK's over either transport, in a process of their own. */
import { connect } from "usmp";
import { answerRequests } from "../child.mjs";
import { openMany, repeat } from "./work.mjs";

/** @type {import("usmp").Session[]} */
let sessions = [];

/** @param {{ port: number, psk: string, transport?: "tcp" | "udp" }} server */
function open({ port, psk, transport = "tcp" }) {
  // The Python server's keepalive is its own; ours stays out of the figures.
  return connect({
    host: "127.0.0.1",
    port,
    transport,
    psk: Buffer.from(psk, "hex"),
    keepaliveMs: 600_000,
    idleTimeoutMs: 900_000,
  });
}

/**
 * @param {import("usmp").Session} session
 * @param {{ size: number, messages: number, window: number }} task `window` messages are under way at once
 */
async function echo(session, { size, messages, window }) {
  const message = new Uint8Array(size);
  for (let i = 0; i < window; i++) await session.send(message);
  for (let received = 1; received <= messages; received++) {
    const echoed = await session.receive();
    if (echoed?.length !== size) throw new Error(`an echo of ${echoed?.length} bytes where ${size} were sent`);
    if (received <= messages - window) await session.send(message);
  }
}

/** @param {import("usmp").Session} session @param {number} messages */
async function take(session, messages) {
  for (let i = 0; i < messages; i++) await session.receive();
}

await answerRequests({
  async handshakes({ server, count, concurrency }) {
    await repeat(count, concurrency, async () => (await open(server)).close());
  },

  async open({ server, count, concurrency }) {
    sessions.push(...(await openMany(count, concurrency, () => open(server))));
  },

  prepare() {},

  async echo(task) {
    await Promise.all(sessions.map((session) => echo(session, task)));
  },

  async pour({ size, messages }) {
    const message = new Uint8Array(size);
    await Promise.all(
      sessions.map(async (session) => {
        for (let i = 0; i < messages; i++) await session.send(message);
      }),
    );
  },

  async drain({ messages }) {
    await Promise.all(sessions.map((session) => take(session, messages)));
  },

  async close() {
    await Promise.all(sessions.map((session) => session.close()));
    sessions = [];
  },
});
