import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { instant } from "@usmp/protocol";
import type { PeerAddress } from "@usmp/transport";
import { type Direction, type LinkCounts, type LinkEvent, type LinkTap, noCounts } from "./link-events.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { type DatagramConditions, DatagramLink, type Fate } from "./simulated-link.ts";

export interface UdpRelayOptions {
  readonly server: PeerAddress;
  readonly random: SeededRandom;
  readonly conditions?: DatagramConditions | undefined;
  /** Instead of `conditions` for one direction. */
  readonly toServer?: DatagramConditions | undefined;
  readonly toClient?: DatagramConditions | undefined;
  readonly decide?: ((sent: LinkEvent) => Fate) | undefined;
  readonly tap?: LinkTap | undefined;
}

/**
 * A lossy network between real sockets: clients send to `address`, and the server sees each of them at a port of its own. The
 * fates are a DatagramLink's, drawn from the seed in the order in which datagrams come, which real time decides.
 */
export class UdpRelay {
  readonly address: PeerAddress;
  #options: UdpRelayOptions;
  readonly #front: Socket;
  /** By the client's address. */
  readonly #paths = new Map<string, RelayedPath>();

  private constructor(options: UdpRelayOptions, front: Socket) {
    this.#options = options;
    this.#front = front;
    const { address, port } = front.address();
    this.address = { host: address, port };
    front.on("message", (data, from) => this.#onClientDatagram(data, from));
  }

  static async start(options: UdpRelayOptions): Promise<UdpRelay> {
    return new UdpRelay(options, await boundSocket(options.server.host));
  }

  get clients(): number {
    return this.#paths.size;
  }

  /** What happened so far, in both directions and for all clients. */
  get counts(): LinkCounts {
    const sum = noCounts();
    for (const path of this.#paths.values()) path.addCounts(sum);
    return sum;
  }

  /** Other conditions from now on, for all clients, those to come included. */
  setConditions(toServer: DatagramConditions, toClient: DatagramConditions = toServer): void {
    this.#options = { ...this.#options, toServer, toClient };
    for (const path of this.#paths.values()) path.setConditions(toServer, toClient);
  }

  /** Every client's NAT takes a new port: the server sees them come from elsewhere, and what it sends to the old port is lost. */
  async rebind(): Promise<void> {
    await Promise.all([...this.#paths.values()].map((path) => path.rebind()));
  }

  /** A datagram of an attacker's on every client's path, past all conditions: it seems to come from the other end. */
  inject(direction: Direction, data: Uint8Array): void {
    for (const path of this.#paths.values()) path.forward(direction, data);
  }

  close(): void {
    for (const path of this.#paths.values()) path.close();
    this.#front.close();
  }

  #onClientDatagram(data: Uint8Array, from: RemoteInfo): void {
    const key = `${from.address} ${from.port}`;
    const path = this.#paths.get(key) ?? new RelayedPath(this.#options, this.#front, from);
    this.#paths.set(key, path);
    path.send("client-to-server", data);
  }
}

/** One client's way through the relay. */
class RelayedPath {
  readonly #server: PeerAddress;
  readonly #front: Socket;
  readonly #client: RemoteInfo;
  readonly #link: DatagramLink;
  #upstream: Promise<Socket>;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: UdpRelayOptions, front: Socket, client: RemoteInfo) {
    const { server, random, ...conditions } = options;
    this.#server = server;
    this.#front = front;
    this.#client = client;
    this.#link = new DatagramLink({ ...conditions, random: random.fork() });
    this.#upstream = this.#openUpstream();
  }

  send(direction: Direction, data: Uint8Array): void {
    if (this.#closed) return;
    this.#link.send(direction, data, instant(performance.now()));
    this.#deliver();
  }

  forward(direction: Direction, data: Uint8Array): void {
    if (direction === "server-to-client") this.#front.send(data, this.#client.port, this.#client.address, ignoreError);
    else
      void this.#upstream.then(
        (socket) => this.#closed || socket.send(data, this.#server.port, this.#server.host, ignoreError),
      );
  }

  async rebind(): Promise<void> {
    const old = await this.#upstream;
    this.#upstream = this.#openUpstream();
    await this.#upstream;
    old.close();
  }

  setConditions(toServer: DatagramConditions, toClient: DatagramConditions): void {
    this.#link.conditions = { "client-to-server": toServer, "server-to-client": toClient };
  }

  addCounts(sum: LinkCounts): void {
    for (const counts of Object.values(this.#link.counts)) {
      for (const name of Object.keys(sum) as (keyof LinkCounts)[]) sum[name] += counts[name];
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    void this.#upstream.then((socket) => socket.close());
  }

  async #openUpstream(): Promise<Socket> {
    const socket = await boundSocket(this.#server.host);
    socket.on("message", (data) => this.send("server-to-client", data));
    return socket;
  }

  /** Sends on what is due, and comes back for the rest. */
  #deliver(): void {
    const now = performance.now();
    for (const { direction, bytes } of this.#link.deliver(instant(now))) this.forward(direction, bytes);
    clearTimeout(this.#timer);
    const next = this.#link.nextDeliveryAt();
    if (next !== undefined) this.#timer = setTimeout(() => this.#deliver(), Math.max(0, next - now));
  }
}

/** A socket on loopback that can reach `host`. */
async function boundSocket(host: string): Promise<Socket> {
  const v6 = isIPv6(host);
  const socket = createSocket(v6 ? "udp6" : "udp4");
  socket.bind(0, v6 ? "::1" : "127.0.0.1");
  await once(socket, "listening");
  // ICMP errors of a server that is gone: the relayed ends are to find out by themselves.
  socket.on("error", ignoreError);
  return socket;
}

function ignoreError(): void {}
