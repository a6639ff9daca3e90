/**
 * Clients of mosquitto over TLS 1.2 with a PSK (it turns TLS 1.3 off for PSKs), MQTT 3.1.1, QoS 0. Each publishes on a topic of its own that it has
 * subscribed to: the broker reads a message and writes it back, as an echo does. What is poured goes to a topic that nobody reads.
 */
import { once } from "node:events";
import { connect } from "node:tls";
import { endSocket, serveClients } from "./clients.mjs";

const CONNECT = 0x10;
const PUBLISH = 0x30;
const SUBSCRIBE = 0x82;
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);
/** Protocol name and level of 3.1.1, a clean session, no keepalive. */
const CONNECT_HEADER = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0]);

let nextClient = 0;

/** @param {string} text */
function field(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** @param {number} type @param {readonly Uint8Array[]} parts */
function packet(type, ...parts) {
  const body = Buffer.concat(parts);
  const length = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>= 7) {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
  }
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

/** @typedef {import("./clients.mjs").Client & { readonly topic: Buffer }} MqttClient */

/** @param {MqttClient} client @param {Uint8Array} request @param {number} bytes of the answer */
async function ask({ socket }, request, bytes) {
  socket.write(request);
  for (let received = 0; received < bytes; ) received += (await once(socket, "data"))[0].length;
}

await serveClients({
  /** @returns {Promise<MqttClient>} */
  async open({ port, psk }) {
    const key = Buffer.from(psk, "hex");
    const socket = connect({
      host: "127.0.0.1",
      port,
      pskCallback: () => ({ psk: key, identity: "bench" }),
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
      ciphers: "PSK-AES256-GCM-SHA384",
      checkServerIdentity: () => undefined,
    });
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    const name = `c${nextClient++}`.padEnd(8, "_");
    const client = { socket, topic: field(name) };
    await ask(client, packet(CONNECT, CONNECT_HEADER, field(`${process.pid}${name}`)), 4);
    return client;
  },

  messages: ({ topic }, size, count) => Array(count).fill(packet(PUBLISH, topic, Buffer.alloc(size))),
  bytesOnTheWire: ({ topic }, size) => packet(PUBLISH, topic, Buffer.alloc(size)).length,
  subscribe: (/** @type {MqttClient} */ client) =>
    ask(client, packet(SUBSCRIBE, Buffer.from([0, 1]), client.topic, Buffer.from([0])), 5),
  settled: (client) => ask(client, PINGREQ, 2),

  async close(client) {
    client.socket.write(DISCONNECT);
    await endSocket(client);
  },
});
