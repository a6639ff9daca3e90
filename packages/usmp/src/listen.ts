import { UsageError } from "@usmp/protocol";
import type { ListenOptions, Server } from "./api.ts";
import { openServer } from "./server.ts";
import { listenWithWorkers } from "./workers/listen-with-workers.ts";

/**
 * Listens for USMP devices. Rejects with UsageError for options that cannot be, with ListenError when an address cannot be opened;
 * then none is.
 */
export async function listen(options: ListenOptions): Promise<Server> {
  if (options.tcp === undefined && options.udp === undefined) {
    throw new UsageError("invalid-option", "tcp and udp are both missing; give at least one, such as tcp: 9000");
  }
  if (options.workers !== undefined) return listenWithWorkers(options, options.workers);
  for (const field of ["application", "onWorker"] as const) {
    if (options[field] === undefined) continue;
    throw new UsageError(
      "invalid-option",
      `${field} is for servers with workers; give workers as well, such as workers: 2`,
    );
  }
  return openServer(options);
}
