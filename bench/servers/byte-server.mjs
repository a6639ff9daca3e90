/** The verbs of a server that moves bytes: they come back, or are counted, or it sends some of its own. */
import { once } from "node:events";
import { collectGarbage } from "./garbage.mjs";

/**
 * @param {(psk: Buffer, onSocket: (socket: import("node:net").Socket) => void) => import("node:net").Server} create
 */
export function byteServer(create) {
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  let echoing = true;
  let received = 0;
  let wanted = Number.POSITIVE_INFINITY;
  let done = () => {};

  /** @param {number} bytes */
  function count(bytes) {
    received += bytes;
    if (received >= wanted) done();
  }

  /** @param {import("node:net").Socket} socket */
  function onSocket(socket) {
    sockets.add(socket);
    socket.on("data", (bytes) => {
      if (echoing) socket.write(bytes);
      else count(bytes.length);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  }

  return {
    /** @param {{ psk: string }} request */
    async serve({ psk }) {
      const server = create(Buffer.from(psk, "hex"), onSocket);
      server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 });
      await once(server, "listening");
      const address = server.address();
      return { port: address !== null && typeof address === "object" ? address.port : undefined };
    },

    /** What comes from now on is counted. */
    count() {
      echoing = false;
      received = 0;
    },

    /** Resolves when so many messages have come. @param {{ size: number, messages: number }} request */
    received({ size, messages }) {
      wanted = size * messages;
      return new Promise((resolve) => {
        done = () => resolve({});
        if (received >= wanted) done();
      });
    },

    /** Writes so many messages to each connection. @param {{ size: number, messages: number }} request */
    async stream({ size, messages }) {
      const message = Buffer.alloc(size);
      await Promise.all(
        [...sockets].map(async (socket) => {
          for (let i = 0; i < messages; i++) if (!socket.write(message)) await once(socket, "drain");
        }),
      );
    },

    collect: collectGarbage,
  };
}
