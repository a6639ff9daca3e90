/** Clients of servers/tls.mjs, in a process of their own. */
import { once } from "node:events";
import { connect } from "node:tls";
import { answerRequests } from "../child.mjs";
import { openMany, repeat } from "./work.mjs";

/** @type {import("node:tls").TLSSocket[]} */
let sockets = [];

/** @param {{ port: number, psk: string }} server */
async function open({ port, psk }) {
  const key = Buffer.from(psk, "hex");
  const socket = connect({
    host: "127.0.0.1",
    port,
    pskCallback: () => ({ psk: key, identity: "bench" }),
    minVersion: "TLSv1.3",
    ciphers: "TLS_AES_128_GCM_SHA256",
    ecdhCurve: "X25519",
    checkServerIdentity: () => undefined,
  });
  await once(socket, "secureConnect");
  socket.setNoDelay(true);
  // Whatever comes that nobody asked for (session tickets) is read, or the socket's end would wait behind it.
  socket.resume();
  return socket;
}

/** @param {import("node:tls").TLSSocket} socket */
async function close(socket) {
  const closed = once(socket, "close");
  socket.end();
  await closed;
}

/**
 * @param {import("node:tls").TLSSocket} socket
 * @param {{ size: number, messages: number, window: number }} task `window` messages are under way at once
 * @returns {Promise<void>}
 */
function echo(socket, { size, messages, window }) {
  const message = Buffer.alloc(size);
  let sent = 0;
  let receivedBytes = 0;
  return new Promise((resolve) => {
    /** @param {Buffer} bytes */
    const onData = (bytes) => {
      receivedBytes += bytes.length;
      const received = Math.floor(receivedBytes / size);
      while (sent < Math.min(messages, received + window)) send();
      if (received < messages) return;
      socket.off("data", onData);
      resolve();
    };
    const send = () => {
      sent++;
      socket.write(message);
    };
    socket.on("data", onData);
    while (sent < window) send();
  });
}

await answerRequests({
  /** What was really agreed on: the comparison holds only for an X25519 exchange under TLS 1.3 without a certificate. */
  async describe({ server }) {
    const socket = await open(server);
    const exchange = socket.getEphemeralKeyInfo();
    const description = {
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().standardName,
      exchange: exchange !== null && "name" in exchange ? exchange.name : undefined,
      certificate: Object.keys(socket.getPeerCertificate()).length > 0,
    };
    await close(socket);
    return description;
  },

  async handshakes({ server, count, concurrency }) {
    await repeat(count, concurrency, async () => close(await open(server)));
  },

  async open({ server, count, concurrency }) {
    sockets = await openMany(count, concurrency, () => open(server));
  },

  async echo(task) {
    await Promise.all(sockets.map((socket) => echo(socket, task)));
  },

  async close() {
    await Promise.all(sockets.map(close));
    sockets = [];
  },
});
