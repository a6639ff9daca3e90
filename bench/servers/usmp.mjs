/** The server under test: ours, with an echo by callback, as the TLS server has one. */
import { listen } from "usmp";
import { answerRequests } from "../child.mjs";
import { collectGarbage } from "./garbage.mjs";

await answerRequests({
  async serve({ psk }) {
    const server = await listen({
      tcp: { host: "127.0.0.1", port: 0 },
      psk: Buffer.from(psk, "hex"),
      onSession: (session) => {
        session.onMessage = (message) => session.send(message);
      },
    });
    return { port: server.addresses[0]?.port };
  },
  collect: collectGarbage,
});
