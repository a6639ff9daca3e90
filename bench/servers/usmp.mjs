/** The server under test: ours, with an echo as the read-me writes it. */
import { listen } from "usmp";
import { answerRequests } from "../child.mjs";
import { collectGarbage } from "./garbage.mjs";

/** @param {import("usmp").Session} session */
async function echo(session) {
  for await (const message of session) await session.send(message);
}

await answerRequests({
  async serve({ psk }) {
    const server = await listen({
      tcp: { host: "127.0.0.1", port: 0 },
      psk: Buffer.from(psk, "hex"),
      onSession: (session) => void echo(session).catch(() => session.abort()),
    });
    return { port: server.addresses[0]?.port };
  },
  collect: collectGarbage,
});
