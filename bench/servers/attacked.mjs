/** The server under attack: ours, on both transports, with its default limits; an echo. */
import { listen } from "usmp";
import { answerRequests } from "../child.mjs";

/** @type {import("usmp").Server | undefined} */
let server;

/** @param {import("usmp").Session} session */
async function echo(session) {
  for await (const message of session) await session.send(message);
}

await answerRequests({
  async serve({ psk }) {
    server = await listen({
      tcp: "127.0.0.1:0",
      udp: "127.0.0.1:0",
      psk: Buffer.from(psk, "hex"),
      onSession: (session) => void echo(session).catch(() => {}),
    });
    const portOf = (/** @type {string} */ wanted) =>
      server?.addresses.find(({ transport }) => transport === wanted)?.port;
    return { tcp: portOf("tcp"), udp: portOf("udp") };
  },
  statistics: () => server?.statistics,
});
