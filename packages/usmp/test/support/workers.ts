import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ListenOptions, Session, WorkerEvent } from "usmp";
import { type LoopbackServer, serve, textOf } from "./loopback.ts";

/** Worker processes run what was built: Node 20 runs no TypeScript. For beforeAll(); nothing is done when nothing changed. */
export function buildWorkers(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL("../../../../scripts/build.mjs", import.meta.url))], {
    stdio: ["ignore", 2, 2],
  });
}

export interface WorkersServer {
  readonly listening: LoopbackServer;
  readonly events: WorkerEvent[];
}

/** A server of two worker processes on free ports of both transports, and what it told of them. */
export async function serveWithWorkers(options: Partial<ListenOptions> = {}): Promise<WorkersServer> {
  const events: WorkerEvent[] = [];
  const listening = await serve({ workers: 2, onWorker: (event) => events.push(event), ...options });
  return { listening, events };
}

/** With these options each session's first message names the process that it lives in. */
export const TELLING: Pick<ListenOptions, "application"> = {
  application: { module: new URL("../fixtures/telling-worker.mjs", import.meta.url), data: { greeting: "pid" } },
};

/** The process that a client's session lives in, when its server is TELLING. */
export async function workerOf(client: Session): Promise<number> {
  return Number(textOf(await client.receive())?.split(" ")[1]);
}
