import { type OnReadOpts, type Server, Socket } from "node:net";
import type { DuplexOptions } from "node:stream";

/**
 * Node reads every chunk of a server's sockets into 64 KiB of new memory, shrinks that, and sends it through a stream: a fifth of what an
 * echo costs in user time (docs/performance.md). Only whoever makes a socket may ask for `onread`, which reads into memory that is
 * used again, and servers make theirs themselves. So the handles that the kernel's connections come as are caught before that.
 *
 * That reaches behind Node's documented interface: `_handle.onconnection` of a listening server, and `handle` of a new Socket, both as they
 * have been since Node 0.10. Answers false, and changes nothing, where they are not: then the server's own sockets serve.
 */
export function catchHandles(server: Server, options: SocketOptions, onSocket: (socket: Socket) => void): boolean {
  const listening = (server as Partial<ListeningServer>)._handle;
  const onConnection = listening?.onconnection;
  if (listening === undefined || listening === null || typeof onConnection !== "function") return false;
  listening.onconnection = function (this: unknown, error: number, handle?: object): void {
    // Too many open files, for one: Node makes an error of it and tells the server.
    if (error !== 0 || handle === undefined) return onConnection.call(this, error, handle);
    // Not started: it reads when its transport starts, and what came before waits in the kernel.
    const made = { ...options, handle, manualStart: true };
    onSocket(new Socket(made));
  };
  return true;
}

export interface SocketOptions extends DuplexOptions {
  readonly onread: OnReadOpts;
}

/** What a listening server of Node's has beside its documented interface. */
interface ListeningServer {
  readonly _handle: { onconnection: ((this: unknown, error: number, handle?: object) => void) | undefined } | null;
}
