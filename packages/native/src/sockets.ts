import { getSystemErrorName } from "node:util";
import type { Addon } from "./addon.ts";

/** What Node's own sockets lack. */
export class NativeSockets {
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  /**
   * Sends `count` datagrams in one system call for each 64 (sendmmsg): they stand back to back in `bytes`, and `table` has 20 bytes for each, length
   * u16 and port u16 (little-endian), address in its IPv6 form. Answers how many are done with, sent or refused for their own sake; the rest
   * found the socket's buffer full.
   */
  sendDatagrams(fd: number, ipv6: boolean, bytes: Uint8Array, table: Uint8Array, count: number): number {
    return this.#addon.sendDatagrams(fd, ipv6, bytes, table, count);
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
