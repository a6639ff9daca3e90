import { getSystemErrorName } from "node:util";
import type { Addon } from "./addon.ts";

/** What Node's own sockets lack. */
export class NativeSockets {
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  /**
   * A socket bound with SO_REUSEPORT, whose descriptor goes to `server.listen({ fd })` or to dgram's `bind({ fd })`, and is theirs to close
   * from then on. The kernel spreads new connections, and datagrams by their sender's address, over the processes that have one at the
   * same port. `host` is an IP address; "::" takes IPv4 as well. Port 0 asks for a free one, which the first process then tells the
   * others. Throws an Error with the system's code ("EADDRINUSE", "EACCES", ...).
   */
  reusePortSocket(kind: "tcp" | "udp", host: string, port: number): number {
    try {
      return this.#addon.reusePortSocket(kind === "udp", host, port);
    } catch (error) {
      throw named(error, `cannot bind ${kind.toUpperCase()} port ${port} of ${host}`);
    }
  }
}

/** The addon knows errors of the system by number; Node's have names. */
function named(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || !/^\d+$/.test(String(error.code))) return error;
  const code = getSystemErrorName(-Number(error.code));
  return Object.assign(new Error(`${what}: ${code}`, { cause: error }), { code });
}
