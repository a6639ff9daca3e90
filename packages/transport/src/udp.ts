import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { promises as dns, type LookupAddress } from "node:dns";
import { isIP, isIPv6, SocketAddress } from "node:net";
import { MAPPED_PREFIX, plainHost } from "./address.ts";
import { systemCode, transportError } from "./errors.ts";
import { type DatagramSender, descriptorOf, UdpBatch } from "./udp-batch.ts";
import type { ConnectedDatagramTransport, DatagramHandlers, DatagramTransport, PeerAddress } from "./transport.ts";

export interface BindUdpOptions {
  /** Undefined or "": all interfaces, IPv6 and IPv4. */
  readonly host?: string | undefined;
  /** 0 asks for a free port. */
  readonly port: number;
  /** One of several sockets at this port, among which the kernel shares the peers out: Linux, and Node from 23.1. */
  readonly reusePort?: boolean | undefined;
  /** A socket that is bound already; host and port are then what it is bound to. */
  readonly fd?: number | undefined;
  /** Sends what leaves in one turn of the event loop together; without it, and where it cannot, each datagram goes Node's own way. */
  readonly sender?: DatagramSender | undefined;
}

export interface ConnectUdpOptions {
  readonly host: string;
  readonly port: number;
  /** Gives up looking up the name; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Binds a server's socket. Rejects with a TransportError. */
export async function bindUdp(options: BindUdpOptions): Promise<DatagramTransport> {
  const { port } = options;
  const host = options.host === "" ? undefined : options.host;
  try {
    return new UdpTransport(await bindSocket(host, options), options.sender);
  } catch (error) {
    throw transportError(`cannot listen on UDP port ${port}${host === undefined ? "" : ` of ${host}`}`, error);
  }
}

/**
 * Binds a client's socket for one peer, whose name is looked up first. Rejects with a TransportError, or with the reason of `signal`.
 *
 * The socket is not connect()ed: the kernel would then keep one source address for good, and a session could not survive this
 * host's move to another network. What others send is dropped here instead, and no ICMP error reaches the socket at all.
 */
export async function connectUdp(options: ConnectUdpOptions): Promise<ConnectedDatagramTransport> {
  const { host, port, signal } = options;
  try {
    const { address, family } = await orAbort(lookup(host), signal);
    const socket = await openSocket(family === 6 ? "udp6" : "udp4", undefined, { port: 0 });
    return new ConnectedUdpTransport(socket, { host: plainHost(address), port });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw transportError(`cannot open a UDP socket to ${host} port ${port}`, error);
  }
}

/** What a burst of handshakes may fill while the process is busy. Linux clamps it to net.core.rmem_max. */
const RECEIVE_BUFFER_BYTES = [4_194_304, 1_048_576, 262_144] as const;

class UdpTransport implements DatagramTransport {
  readonly kind = "udp";
  readonly address: PeerAddress;
  readonly #socket: Socket;
  /** An IPv6 socket reaches an IPv4 host by its mapped address. */
  readonly #mapsIPv4: boolean;
  #handlers: DatagramHandlers | undefined;
  #error: Error | undefined;
  #closing = false;
  #closed = false;
  readonly #batch: UdpBatch | undefined;
  /** Datagrams that the kernel has not taken yet. */
  #leaving = 0;

  constructor(socket: Socket, sender?: DatagramSender) {
    const bound = socket.address();
    this.address = { host: plainHost(bound.address), port: bound.port };
    this.#socket = socket;
    this.#mapsIPv4 = bound.family === "IPv6";
    const fd = sender && descriptorOf(socket);
    if (sender !== undefined && fd !== undefined) {
      this.#batch = new UdpBatch(sender, fd, this.#mapsIPv4, (data, to) => this.#sendOne(data, to));
    }
    socket.on("error", (error) => this.#onError(error));
    socket.on("close", () => {
      this.#closed = true;
      this.#deliverClose();
    });
  }

  start(handlers: DatagramHandlers): void {
    this.#handlers = handlers;
    if (this.#closed) process.nextTick(() => this.#deliverClose());
    else this.#socket.on("message", (data, info) => this.#onMessage(data, info));
  }

  send(data: Uint8Array, to: PeerAddress): void {
    if (this.#closing || this.#batch?.add(data, to) === true) return;
    this.#sendOne(data, to);
  }

  close(): void {
    if (this.#closing) return;
    this.#batch?.flush();
    this.#closing = true;
    if (this.#leaving === 0) this.#socket.close();
  }

  #sendOne(data: Uint8Array, to: PeerAddress): void {
    this.#leaving++;
    const host = this.#mapsIPv4 && !to.host.includes(":") ? MAPPED_PREFIX + to.host : to.host;
    this.#socket.send(data, to.port, host, this.#onSent);
  }

  /** Whom a datagram came from, in the form that the driver gets to see; undefined when it is to be dropped. */
  protected sender(info: RemoteInfo): PeerAddress | undefined {
    // Nobody can be answered at port 0, which only a forged datagram names: Node would throw at the answer.
    return info.port === 0 ? undefined : { host: plainHost(info.address), port: info.port };
  }

  #onMessage(data: Uint8Array, info: RemoteInfo): void {
    if (this.#closing) return;
    const from = this.sender(info);
    if (from !== undefined) this.#handlers?.onDatagram(data, from);
  }

  /** Called with an error or without: loss is the ARQ's to mend, whatever caused it. */
  readonly #onSent = (): void => {
    this.#leaving--;
    if (this.#closing && this.#leaving === 0 && !this.#closed) this.#socket.close();
  };

  #onError(error: Error): void {
    if (!FATAL.has(systemCode(error) ?? "")) return;
    this.#error = error;
    this.#closing = true;
    this.#batch?.discard();
    this.#socket.close();
  }

  #deliverClose(): void {
    this.#handlers?.onClose(this.#error);
    this.#handlers = undefined;
  }
}

class ConnectedUdpTransport extends UdpTransport implements ConnectedDatagramTransport {
  readonly peer: PeerAddress;
  readonly #canonicalHost: string;

  constructor(socket: Socket, peer: PeerAddress) {
    super(socket);
    this.peer = peer;
    this.#canonicalHost = canonicalHost(peer.host);
  }

  protected override sender(info: RemoteInfo): PeerAddress | undefined {
    const isPeer = info.port === this.peer.port && canonicalHost(info.address) === this.#canonicalHost;
    return isPeer ? this.peer : undefined;
  }
}

/** The socket itself is gone or was never one. All else (ICMP errors, memory pressure, a route that vanished) passes. */
const FATAL: ReadonlySet<string> = new Set(["EBADF", "ENOTSOCK", "EINVAL", "EFAULT"]);
/** What a system without IPv6 answers. */
const NO_IPV6: ReadonlySet<string> = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT"]);

async function bindSocket(host: string | undefined, options: Omit<BindUdpOptions, "host">): Promise<Socket> {
  if (host !== undefined) {
    const { address, family } = await lookup(host);
    return openSocket(family === 6 ? "udp6" : "udp4", address, options);
  }
  try {
    return await openSocket("udp6", "::", options);
  } catch (error) {
    if (!NO_IPV6.has(systemCode(error) ?? "")) throw error;
    return openSocket("udp4", "0.0.0.0", options);
  }
}

function openSocket(
  type: "udp4" | "udp6",
  address: string | undefined,
  { port, reusePort = false, fd }: Omit<BindUdpOptions, "host">,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type, lookup: literalOnly, ...(reusePort && { reusePort }) });
    socket.once("error", (error) => {
      reject(error);
      socket.close();
    });
    socket.bind(fd === undefined ? { port, ...(address !== undefined && { address }) } : { fd }, () => {
      socket.removeAllListeners("error");
      growReceiveBuffer(socket);
      resolve(socket);
    });
  });
}

/** Every address that reaches a socket is an IP address: without this, each send would go through the resolver's queue. */
function literalOnly(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, isIP(host));
}

function growReceiveBuffer(socket: Socket): void {
  for (const bytes of RECEIVE_BUFFER_BYTES) {
    try {
      socket.setRecvBufferSize(bytes);
      return;
    } catch {
      // Some systems refuse what Linux clamps: the next smaller size, or the system's own, will do.
    }
  }
}

/**
 * The first address in the system's order (RFC 6724), which knows this host's routes. On loopback both families look reachable,
 * and UDP cannot tell in time that nobody listens on one: there IPv4 goes first, which every server in the field binds.
 */
async function lookup(host: string): Promise<LookupAddress> {
  const found = await dns.lookup(host, { all: true, verbatim: true });
  const first = found[0];
  if (first === undefined) throw new Error(`no address for ${host}`);
  if (first.address !== "::1") return first;
  return found.find((candidate) => candidate.family === 4) ?? first;
}

/** Node cannot stop a look-up that has begun: who gives up no longer waits for it, and what it finds is dropped. */
function orAbort<T>(found: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return found;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    found.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** An address as the kernel spells it, without its zone: systems name that by number or by interface. */
function canonicalHost(host: string): string {
  const bare = host.replace(/%.*$/, "");
  return plainHost(isIPv6(bare) ? new SocketAddress({ address: bare, family: "ipv6" }).address : bare);
}
