/** Clients of servers/tls.mjs. */
import { once } from "node:events";
import { connect } from "node:tls";
import { endSocket, serveClients } from "./clients.mjs";

/** @param {import("./clients.mjs").Server} server */
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
  return { socket };
}

await serveClients({
  open,
  messages: (_, size, count) => Array(count).fill(Buffer.alloc(size)),
  bytesOnTheWire: (_, size) => size,
  close: endSocket,

  /** What was really agreed on: the comparison holds only for an X25519 exchange under TLS 1.3 without a certificate. */
  async describe(server) {
    const client = await open(server);
    const { socket } = client;
    const exchange = socket.getEphemeralKeyInfo();
    const description = {
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().standardName,
      exchange: exchange !== null && "name" in exchange ? exchange.name : undefined,
      certificate: Object.keys(socket.getPeerCertificate()).length > 0,
    };
    await endSocket(client);
    return description;
  },
});
