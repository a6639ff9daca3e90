/** The server under test: ours, with an echo by callback, as the TLS server has one. */
import { listen } from "usmp";
import { answerRequests } from "../child.mjs";
import { collectGarbage } from "./garbage.mjs";

/** @type {Set<import("usmp").Session>} */
const sessions = new Set();
let echoing = true;
let received = 0;
let wanted = Number.POSITIVE_INFINITY;
let done = () => {};

/** @param {import("usmp").Session} session */
function attend(session) {
  sessions.add(session);
  session.onMessage = (message) => {
    if (echoing) return session.send(message);
    if (++received >= wanted) done();
    return undefined;
  };
  void session.closed.then(() => sessions.delete(session));
}

await answerRequests({
  async serve({ psk, transport = "tcp" }) {
    const server = await listen({
      [transport]: { host: "127.0.0.1", port: 0 },
      psk: Buffer.from(psk, "hex"),
      // Keepalives stay out of the figures.
      keepaliveMs: 600_000,
      idleTimeoutMs: 900_000,
      onSession: attend,
    });
    return { port: server.addresses[0]?.port };
  },

  count() {
    echoing = false;
    received = 0;
  },

  received({ messages }) {
    wanted = messages;
    return new Promise((resolve) => {
      done = () => resolve({});
      if (received >= wanted) done();
    });
  },

  async stream({ size, messages }) {
    const message = new Uint8Array(size);
    await Promise.all(
      [...sessions].map(async (session) => {
        for (let i = 0; i < messages; i++) await session.send(message);
      }),
    );
  },

  collect: collectGarbage,
});
