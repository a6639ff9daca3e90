import { createConnection, createServer, type Server, type Socket, type TcpNetConnectOpts } from "node:net";
import type { DuplexOptions } from "node:stream";
import { plainHost } from "./address.ts";
import { transportError } from "./errors.ts";
import { catchHandles } from "./tcp-accept.ts";
import type { PeerAddress, StreamHandlers, StreamListener, StreamTransport } from "./transport.ts";

export interface ConnectTcpOptions {
  readonly host: string;
  readonly port: number;
  /** Gives up the attempt; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface ListenTcpOptions {
  /** Undefined or "": all interfaces, IPv6 and IPv4. */
  readonly host?: string | undefined;
  /** 0 asks for a free port. */
  readonly port: number;
  /** One of several sockets at this port, among which the kernel shares the connections out: Linux, and Node from 23.1. */
  readonly reusePort?: boolean | undefined;
  /** A socket that is bound already; host and port are then what it is bound to. */
  readonly fd?: number | undefined;
}

/** Connects over TCP. Rejects with a TransportError, or with the reason of `signal`. */
export function connectTcp(options: ConnectTcpOptions): Promise<StreamTransport> {
  const { host, port, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const connection: TcpNetConnectOpts & DuplexOptions = {
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      readableHighWaterMark: HIGH_WATER_MARK,
      writableHighWaterMark: HIGH_WATER_MARK,
      autoSelectFamilyAttemptTimeout: FAMILY_ATTEMPT_TIMEOUT_MS,
      onread: ON_READ,
    };
    // Paused: what comes before start() waits in the kernel.
    const socket = createConnection(connection).pause();
    const settle = (): void => {
      signal?.removeEventListener("abort", onAbort);
      socket.off("connect", onConnect).off("error", onError);
    };
    const onConnect = (): void => {
      settle();
      resolve(new TcpTransport(socket, peerOf(socket) ?? { host, port }));
    };
    const onError = (error: Error): void => {
      settle();
      reject(transportError(`cannot connect to ${host} port ${port}`, error));
    };
    const onAbort = (): void => {
      settle();
      socket.on("error", ignore).destroy();
      reject(signal?.reason);
    };
    socket.on("connect", onConnect).on("error", onError);
    signal?.addEventListener("abort", onAbort);
  });
}

/**
 * Listens on TCP. `onConnection` must start() each transport, now or later. `onError` hears what goes wrong while accepting
 * (too many open files, say): the listener lives on and open connections are not touched.
 */
export function listenTcp(
  options: ListenTcpOptions,
  onConnection: (transport: StreamTransport) => void,
  onError: (error: Error) => void = ignore,
): Promise<StreamListener> {
  const { host, port, reusePort = false, fd } = options;
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true, highWaterMark: HIGH_WATER_MARK });
    const accept = (socket: Socket): void => {
      const peer = peerOf(socket);
      // No peer address: it was reset between the kernel's accept and ours.
      if (peer === undefined) socket.on("error", ignore).destroy();
      else onConnection(new TcpTransport(socket, peer));
    };
    const onListenError = (error: Error): void => {
      reject(transportError(`cannot listen on TCP port ${port}${host ? ` of ${host}` : ""}`, error));
    };
    server.once("error", onListenError);
    const where =
      fd === undefined ? { port, host: host === "" ? undefined : host, ...(reusePort && { reusePort }) } : { fd };
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off("error", onListenError).on("error", onError);
      const caught = catchHandles(server, ACCEPTED, (socket) => accept(socket.setNoDelay(true)));
      if (!caught) server.on("connection", accept);
      resolve(new TcpListener(server));
    });
  });
}

/** Bytes that may wait here in each direction before the kernel's buffers take over. Node's own default differs by version. */
const HIGH_WATER_MARK = 16_384;
/** Connections that the kernel completes for us while the process is busy; Linux clamps it to net.core.somaxconn (4,096). */
const BACKLOG = 4096;
/** Node gives each address of a name but the last 250 ms, less than one round trip of LTE-M or a satellite. */
const FAMILY_ATTEMPT_TIMEOUT_MS = 1500;

/**
 * What all sockets read into, one chunk at a time: nothing of it is kept when onData() returns. As large as libuv reads at once.
 */
const CHUNK: Uint8Array = new Uint8Array(65_536);
const ON_READ = { buffer: CHUNK, callback: onSocketRead };
/** How a connection's socket is made, as the server's options below say it to Node. */
const ACCEPTED = {
  allowHalfOpen: true,
  readableHighWaterMark: HIGH_WATER_MARK,
  writableHighWaterMark: HIGH_WATER_MARK,
  onread: ON_READ,
};

class TcpListener implements StreamListener {
  readonly address: PeerAddress;
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    this.address = boundAddress(server);
  }

  close(): Promise<void> {
    // Node's callback would wait for the open connections too; the listening socket itself is closed when close() returns.
    this.#server.close();
    return Promise.resolve();
  }
}

/** A socket that knows its transport: the listeners below are shared by all sockets, so that none needs closures of its own. */
interface OwnedSocket extends Socket {
  [OWNER]: TcpTransport;
}
const OWNER = Symbol("usmp.transport");

class TcpTransport implements StreamTransport {
  readonly kind = "tcp";
  readonly peer: PeerAddress;
  /** For the shared listeners, like `error`: this class is not exported, its interface is. */
  handlers: StreamHandlers | undefined;
  error: Error | undefined;
  readonly #socket: Socket;

  constructor(socket: Socket, peer: PeerAddress) {
    this.peer = peer;
    this.#socket = socket;
    (socket as OwnedSocket)[OWNER] = this;
    socket.on("error", onSocketError).on("close", onSocketClose);
  }

  start(handlers: StreamHandlers): void {
    this.handlers = handlers;
    const socket = this.#socket;
    if (socket.closed) process.nextTick(deliverClose, this);
    else socket.on("data", onSocketData).on("drain", onSocketDrain).on("end", onSocketEnd).resume();
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.writable && this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    endOnce(this.#socket);
    // Whoever stops reading while bytes are on their way answers them with a reset, and that can take our last bytes along.
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Node calls it as a method of the socket. True: read on. */
function onSocketRead(this: unknown, length: number): boolean {
  ownerOf(this as Socket).handlers?.onData(CHUNK.subarray(0, length));
  return true;
}

/** Where `onread` is not to be had. */
function onSocketData(this: Socket, chunk: Uint8Array): void {
  ownerOf(this).handlers?.onData(chunk);
}

function onSocketDrain(this: Socket): void {
  ownerOf(this).handlers?.onDrain();
}

function onSocketEnd(this: Socket): void {
  // The handler's last bytes go first: the socket was made with allowHalfOpen, so nothing ended our side yet.
  ownerOf(this).handlers?.onEnd();
  endOnce(this);
}

/** Node makes an error, with its stack, for every end() after the first, and then drops it. */
function endOnce(socket: Socket): void {
  if (!socket.writableEnded) socket.end();
}

function onSocketError(this: Socket, error: Error): void {
  ownerOf(this).error = error;
}

function onSocketClose(this: Socket): void {
  deliverClose(ownerOf(this));
}

function deliverClose(transport: TcpTransport): void {
  const { handlers, error } = transport;
  // Node's handle holds the socket until a full collection: what is behind it need not wait for that.
  transport.handlers = undefined;
  handlers?.onClose(error);
}

function ownerOf(socket: Socket): TcpTransport {
  return (socket as OwnedSocket)[OWNER];
}

function peerOf(socket: Socket): PeerAddress | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return { host: plainHost(remoteAddress), port: remotePort };
}

function boundAddress(server: Server): PeerAddress {
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("a TCP server that listens has a host and a port");
  return { host: plainHost(address.address), port: address.port };
}

function ignore(): void {}
