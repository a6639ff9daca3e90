/**
 * Clients of servers/dgram.mjs. An echo of USMP takes four datagrams at the server: the message and the acknowledgement of its echo come, an
 * acknowledgement and the echo go. So an echo here is two datagrams there and back, the second as small as an acknowledgement.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { answerRequests } from "../child.mjs";

/** Nonce, header and tag around a message; and a UTACK, whole (spec sections 4 and 6). */
const OVERHEAD = 40;
const ACKNOWLEDGEMENT = Buffer.alloc(15);

/** @type {import("node:dgram").Socket[]} */
let sockets = [];

/** @param {import("node:dgram").Socket} socket @param {Buffer} datagram */
async function thereAndBack(socket, datagram) {
  const answer = new Promise((resolve) => socket.once("message", resolve));
  socket.send(datagram);
  await answer;
}

await answerRequests({
  async open({ server, count }) {
    for (let i = 0; i < count; i++) {
      const socket = createSocket("udp4");
      socket.connect(server.port, "127.0.0.1");
      await once(socket, "connect");
      sockets.push(socket);
    }
  },

  async echo({ size, messages }) {
    const datagram = Buffer.alloc(size + OVERHEAD);
    await Promise.all(
      sockets.map(async (socket) => {
        for (let i = 0; i < messages; i++) {
          await thereAndBack(socket, datagram);
          await thereAndBack(socket, ACKNOWLEDGEMENT);
        }
      }),
    );
  },

  close() {
    for (const socket of sockets) socket.close();
    sockets = [];
  },
});
