/**
 * The server of bench/workers.mjs: ours, in one process or in several, with the echo beside the sessions or in the process that listens.
 * It is also the module that runs in the workers.
 */
import { listen } from "usmp";
import { answerRequests } from "../child.mjs";

/** @param {import("usmp").Session} session */
export default async function echo(session) {
  for await (const message of session) await session.send(message);
}

if (process.argv[2] === "serve") {
  /** @type {Set<number>} */
  const pids = new Set([process.pid]);
  /** @type {import("usmp").Server | undefined} */
  let server;
  await answerRequests({
    async serve({ psk, workers, application }) {
      server = await listen({
        tcp: { host: "127.0.0.1", port: 0 },
        udp: { host: "127.0.0.1", port: 0 },
        psk: Buffer.from(psk, "hex"),
        ...(workers > 0 && { workers, onWorker: (event) => pids.add(event.pid) }),
        ...(workers > 0 && application && { application: { module: import.meta.url } }),
        onSession: (session) => {
          if (workers === 0 || !application) void echo(session).catch(() => session.abort());
        },
      });
      const [tcp, udp] = server.addresses;
      return { tcp: tcp?.port, udp: udp?.port, pids: [...pids] };
    },
    async close() {
      await server?.close();
    },
  });
}
