/** One end of a one-way UDP stream of ours: `receive` counts what arrives, `send` keeps messages waiting for as long as it is told. */
import { connect, listen } from "usmp";
import { answerRequests } from "../child.mjs";

const MESSAGE = new Uint8Array(452).fill(0x75);
/** Enough to fill any congestion window. */
const WAITING = 128;

let received = 0;

await answerRequests({
  async receive({ psk }) {
    const onSession = async (/** @type {import("usmp").Session} */ session) => {
      for await (const _ of session) received++;
    };
    const server = await listen({
      udp: "127.0.0.1:0",
      psk: Buffer.from(psk, "hex"),
      onSession: (session) => void onSession(session),
    });
    return { port: server.addresses[0]?.port };
  },
  count: () => ({ received }),
  async send({ psk, port, seconds }) {
    const key = Buffer.from(psk, "hex");
    const session = await connect({ host: "127.0.0.1", port, transport: "udp", psk: key });
    const end = performance.now() + seconds * 1_000;
    let acknowledged = 0;
    const worker = async () => {
      while (performance.now() < end) {
        await session.send(MESSAGE);
        if (performance.now() < end) acknowledged++;
      }
    };
    await Promise.all(Array.from({ length: WAITING }, worker));
    const { retransmissions, framesSent } = session.statistics;
    await session.close();
    return { acknowledged, retransmissions, framesSent };
  },
});
