/**
 * Clients of our server that cost little themselves, in a process of their own: the frames of an echo are sealed before the clock runs,
 * and the answers are counted by their bytes. A load that is slower than the server lets the server's writes wake a sleeping process
 * each time, and that cost would be counted as the server's; the TLS load does its cryptography in C and has no such effect.
 */
import { once } from "node:events";
import { createConnection } from "node:net";
import { performance } from "node:perf_hooks";
import { nodeCrypto } from "@usmp/crypto";
import { FrameSlab, instant, parseTiming, Secret, StreamClient } from "@usmp/protocol";
import { answerRequests } from "../child.mjs";
import { openMany, repeat } from "./work.mjs";

/** Header, nonce and tag around each message of one frame. */
const OVERHEAD = 40;

/** @typedef {{ socket: import("node:net").Socket, connection: StreamClient }} Client */

/** @type {Client[]} */
let clients = [];

const now = () => instant(performance.now());

/**
 * @param {{ port: number, psk: string }} server
 * @returns {Promise<Client>}
 */
async function open({ port, psk }) {
  const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
  const config = {
    crypto: nodeCrypto,
    timing: parseTiming({ keepaliveMs: 600_000, idleTimeoutMs: 900_000 }),
    psk: new Secret(Buffer.from(psk, "hex")),
    deviceId: nodeCrypto.generateKeyPair().publicKey.subarray(0, 6),
  };
  const connection = new StreamClient(config, { slab: new FrameSlab() }, now());
  flush({ socket, connection });
  while (connection.state === "handshaking") {
    const [chunk] = await once(socket, "data");
    connection.handleBytes(chunk, now());
    flush({ socket, connection });
  }
  if (connection.state !== "established") throw new Error("the handshake failed");
  return { socket, connection };
}

/** @param {Client} client */
function flush({ socket, connection }) {
  for (let bytes = connection.pollTransmit(); bytes !== undefined; bytes = connection.pollTransmit())
    socket.write(bytes);
}

/** @param {Client} client */
async function close(client) {
  client.connection.close(now());
  flush(client);
  const closed = once(client.socket, "close");
  client.socket.resume().end();
  await closed;
}

/**
 * @param {Client} client
 * @param {number} size
 * @param {number} messages
 */
function seal({ connection }, size, messages) {
  const message = new Uint8Array(size);
  return Array.from({ length: messages }, () => {
    connection.send(message, now());
    return /** @type {Uint8Array} */ (connection.pollTransmit());
  });
}

/**
 * @param {Client} client
 * @param {readonly Uint8Array[]} frames
 * @param {{ size: number, messages: number, window: number }} task `window` messages are under way at once
 * @returns {Promise<void>}
 */
function echo({ socket }, frames, { size, messages, window }) {
  let sent = 0;
  let receivedBytes = 0;
  return new Promise((resolve) => {
    const send = () => socket.write(/** @type {Uint8Array} */ (frames[sent++]));
    /** @param {Buffer} bytes */
    const onData = (bytes) => {
      receivedBytes += bytes.length;
      const received = Math.floor(receivedBytes / (size + OVERHEAD));
      while (sent < Math.min(messages, received + window)) send();
      if (received < messages) return;
      socket.off("data", onData);
      resolve();
    };
    socket.on("data", onData);
    while (sent < window) send();
  });
}

/**
 * The frames of the next echo, by client.
 * @type {readonly (readonly Uint8Array[])[]}
 */
let prepared = [];

await answerRequests({
  async handshakes({ server, count, concurrency }) {
    await repeat(count, concurrency, async () => close(await open(server)));
  },

  async open({ server, count, concurrency }) {
    clients = await openMany(count, concurrency, () => open(server));
  },

  async prepareEcho({ size, messages }) {
    prepared = clients.map((client) => seal(client, size, messages));
  },

  async echo(task) {
    await Promise.all(clients.map((client, index) => echo(client, prepared[index] ?? [], task)));
  },

  async close() {
    await Promise.all(clients.map(close));
    clients = [];
  },
});
