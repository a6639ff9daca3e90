/**
 * Clients of any TCP server, in a process of their own, that cost little themselves: what they send is made before the clock runs, and answers are
 * counted by their bytes. A load that is slower than the server lets the server's writes wake a sleeping process each time, and that cost would be
 * counted as the server's.
 */
import { once } from "node:events";
import { createHistogram, performance } from "node:perf_hooks";
import { answerRequests } from "../child.mjs";
import { openMany, repeat } from "./work.mjs";

/**
 * @typedef {{ readonly socket: import("node:net").Socket }} Client
 * @typedef {{ port: number, psk: string }} Server
 */

/**
 * What differs between protocols.
 * @template {Client} C
 * @typedef {object} Dialect
 * @property {(server: Server) => Promise<C>} open an established connection
 * @property {(client: C, size: number, count: number) => readonly Uint8Array[]} messages ready to be written, each once and in this order
 * @property {(client: C, size: number) => number} bytesOnTheWire of one message that the server sends
 * @property {(client: C) => Promise<void>} close as the protocol does it
 * @property {(client: C) => Promise<void>} [subscribe] asks the server to send its messages back; where that has to be asked for
 * @property {(client: C) => Promise<void>} [settled] resolves when the server has read everything; where the server's process cannot be asked
 * @property {(server: Server) => Promise<object>} [describe] what was agreed on
 */

/** Lags of the schedule and of answers are kept in whole microseconds, to three digits. */
const FIGURES = 3;

/** @param {Client} client @param {Uint8Array} bytes */
function writing({ socket }, bytes) {
  return socket.write(bytes) ? undefined : once(socket, "drain");
}

/**
 * `window` messages are under way at once.
 * @param {Client} client
 * @param {readonly Uint8Array[]} messages
 * @param {number} answerBytes
 * @param {number} window
 * @returns {Promise<void>}
 */
function echo({ socket }, messages, answerBytes, window) {
  let sent = 0;
  let receivedBytes = 0;
  return new Promise((resolve) => {
    const send = () => socket.write(/** @type {Uint8Array} */ (messages[sent++]));
    /** @param {Buffer} bytes */
    const onData = (bytes) => {
      receivedBytes += bytes.length;
      const received = Math.floor(receivedBytes / answerBytes);
      while (sent < Math.min(messages.length, received + window)) send();
      if (received < messages.length) return;
      socket.off("data", onData);
      resolve();
    };
    socket.on("data", onData);
    while (sent < Math.min(window, messages.length)) send();
  });
}

/**
 * Writes each message when its time has come, whether or not earlier ones were answered, and takes each answer's time from when its message was due:
 * a server that stalls is charged for all that waited meanwhile (no coordinated omission).
 * @param {readonly { client: Client, messages: readonly Uint8Array[], answerBytes: number }[]} work
 * @param {number} perSecond over all clients
 * @returns {Promise<import("node:perf_hooks").RecordableHistogram>} in microseconds
 */
async function paced(work, perSecond) {
  const times = createHistogram({ lowest: 1, highest: 60_000_000, figures: FIGURES });
  const total = work.reduce((sum, { messages }) => sum + messages.length, 0);
  const started = performance.now();
  const dueAt = (/** @type {number} */ nth) => started + (nth * 1_000) / perSecond;
  let answered = 0;
  for (const [index, { client, answerBytes }] of work.entries()) {
    let bytes = 0;
    let next = 0;
    client.socket.removeAllListeners("data").on("data", (/** @type {Buffer} */ chunk) => {
      bytes += chunk.length;
      const now = performance.now();
      for (; (next + 1) * answerBytes <= bytes; next++) {
        times.record(Math.max(1, Math.round((now - dueAt(next * work.length + index)) * 1_000)));
        answered++;
      }
    });
  }
  for (let sent = 0; answered < total; ) {
    const now = performance.now();
    for (; sent < total && dueAt(sent) <= now; sent++) {
      const { client, messages } = /** @type {typeof work[number]} */ (work[sent % work.length]);
      client.socket.write(/** @type {Uint8Array} */ (messages[Math.floor(sent / work.length)]));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const { client } of work) client.socket.removeAllListeners("data");
  return times;
}

/**
 * @param {Client} client
 * @param {number} bytes
 * @returns {Promise<void>}
 */
function drain({ socket }, bytes) {
  let received = 0;
  return new Promise((resolve) => {
    const onData = (/** @type {Buffer} */ chunk) => {
      received += chunk.length;
      if (received < bytes) return;
      socket.off("data", onData);
      resolve();
    };
    socket.on("data", onData);
  });
}

/**
 * @template {Client} C
 * @param {Dialect<C>} dialect
 */
export async function serveClients(dialect) {
  /** @type {C[]} */
  let clients = [];
  /** The messages of the next work, by client. @type {readonly (readonly Uint8Array[])[]} */
  let prepared = [];
  const messagesOf = (/** @type {number} */ index) => prepared[index] ?? [];

  await answerRequests({
    ...(dialect.describe === undefined ? {} : { describe: ({ server }) => dialect.describe?.(server) }),

    async handshakes({ server, count, concurrency }) {
      await repeat(count, concurrency, async () => dialect.close(await dialect.open(server)));
    },

    /** Adds to those that are open. `echoing`: what they send is to come back. */
    async open({ server, count, concurrency, echoing = true }) {
      const opened = await openMany(count, concurrency, () => dialect.open(server));
      if (echoing) for (const client of opened) await dialect.subscribe?.(client);
      clients.push(...opened);
    },

    prepare({ size, messages }) {
      prepared = clients.map((client) => dialect.messages(client, size, messages));
    },

    async echo({ size, window }) {
      const started = performance.now();
      await Promise.all(
        clients.map((client, i) => echo(client, messagesOf(i), dialect.bytesOnTheWire(client, size), window)),
      );
      return { seconds: (performance.now() - started) / 1_000 };
    },

    async paced({ size, perSecond }) {
      const work = clients.map((client, i) => {
        return { client, messages: messagesOf(i), answerBytes: dialect.bytesOnTheWire(client, size) };
      });
      const times = await paced(work, perSecond);
      const at = (/** @type {number} */ percentile) => times.percentile(percentile);
      return { p50: at(50), p99: at(99), p999: at(99.9), max: times.max };
    },

    /** One way, to the server. */
    async pour() {
      const pouring = clients.map(async (client, i) => {
        for (const message of messagesOf(i)) await writing(client, message);
        await dialect.settled?.(client);
      });
      await Promise.all(pouring);
    },

    /** One way, from the server, which is asked at the same time. */
    async drain({ size, messages }) {
      await Promise.all(clients.map((client) => drain(client, dialect.bytesOnTheWire(client, size) * messages)));
    },

    async close() {
      await Promise.all(clients.map((client) => dialect.close(client)));
      clients = [];
    },
  });
}

/** Ends a connection that has no words for it. @param {Client} client */
export async function endSocket({ socket }) {
  const closed = once(socket, "close");
  socket.resume().end();
  await closed;
}
