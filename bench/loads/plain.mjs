/** Clients of servers/plain.mjs: TCP and nothing else. */
import { once } from "node:events";
import { createConnection } from "node:net";
import { endSocket, serveClients } from "./clients.mjs";

await serveClients({
  async open({ port }) {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return { socket };
  },
  messages: (_, size, count) => Array(count).fill(Buffer.alloc(size)),
  bytesOnTheWire: (_, size) => size,
  close: endSocket,
});
