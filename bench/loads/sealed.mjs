/** Clients of our server whose frames are sealed before the clock runs. */
import { once } from "node:events";
import { createConnection } from "node:net";
import { performance } from "node:perf_hooks";
import { nodeCrypto } from "@usmp/crypto";
import { FrameSlab, instant, parseTiming, Secret, StreamClient } from "@usmp/protocol";
import { endSocket, serveClients } from "./clients.mjs";

/** Header, nonce and tag around the payload of each frame. */
const OVERHEAD = 40;
const LARGEST_PAYLOAD = 452;
/** Longer than any measurement: keepalives stay out of the figures. */
const TIMING = { keepaliveMs: 600_000, idleTimeoutMs: 900_000 };

/** @typedef {import("./clients.mjs").Client & { readonly connection: StreamClient }} SealingClient */

const now = () => instant(performance.now());

/** @param {SealingClient} client */
function flush({ socket, connection }) {
  for (let bytes = connection.pollTransmit(); bytes !== undefined; bytes = connection.pollTransmit())
    socket.write(bytes);
}

/** @type {import("./clients.mjs").Dialect<SealingClient>} */
const dialect = {
  async open({ port, psk }) {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    const config = {
      crypto: nodeCrypto,
      timing: parseTiming(TIMING),
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
  },

  messages({ connection }, size, count) {
    const message = new Uint8Array(size);
    return Array.from({ length: count }, () => {
      connection.send(message, now());
      const frames = [];
      for (let bytes = connection.pollTransmit(); bytes !== undefined; bytes = connection.pollTransmit())
        frames.push(bytes);
      return frames.length === 1 ? /** @type {Uint8Array} */ (frames[0]) : Buffer.concat(frames);
    });
  },

  bytesOnTheWire: (_, size) => size + OVERHEAD * Math.max(1, Math.ceil(size / LARGEST_PAYLOAD)),

  async close(client) {
    client.connection.close(now());
    flush(client);
    await endSocket(client);
  },
};

await serveClients(dialect);
