/** The floor over UDP: each datagram goes back to where it came from. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { answerRequests } from "../child.mjs";

await answerRequests({
  async serve() {
    const socket = createSocket("udp4", (bytes, { port, address }) => socket.send(bytes, port, address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return { port: socket.address().port };
  },
});
