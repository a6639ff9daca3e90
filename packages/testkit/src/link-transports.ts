import type { Instant } from "@usmp/protocol";
import type {
  ConnectedDatagramTransport,
  DatagramHandlers,
  DatagramTransport,
  PeerAddress,
  StreamHandlers,
  StreamTransport,
} from "@usmp/transport";
import { type Delivery, type Direction, opposite } from "./link-events.ts";
import type { DatagramLink } from "./simulated-link.ts";
import type { StreamDelivery, StreamLink } from "./simulated-stream.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Gives what arrives on a link to `receive` as the clock moves. The answer is to be called after each send. */
export function deliverOnClock<D extends Delivery>(
  link: { nextDeliveryAt(): Instant | undefined; deliver(now: Instant): D[] },
  clock: VirtualClock,
  receive: (delivery: D) => void,
): () => void {
  let cancel: (() => void) | undefined;
  const reschedule = (): void => {
    cancel?.();
    const at = link.nextDeliveryAt();
    cancel = at === undefined ? undefined : clock.schedule(at, arrive);
  };
  const arrive = (): void => {
    for (const delivery of link.deliver(clock.now())) receive(delivery);
    reschedule();
  };
  return reschedule;
}

/** Both ends of a datagram link as transports, for a driver that lives on the same clock. */
export function datagramTransports(
  link: DatagramLink,
  clock: VirtualClock,
): { readonly client: ConnectedDatagramTransport; readonly server: DatagramTransport } {
  const send = (direction: Direction, bytes: Uint8Array, to?: string): void => {
    link.send(direction, bytes, clock.now(), to);
    sent();
  };
  const client = new LinkDatagramTransport(link.clientAddress, (bytes) => send("client-to-server", bytes), clock);
  const server = new LinkDatagramTransport("server", (bytes, to) => send("server-to-client", bytes, to.host), clock);
  const sent = deliverOnClock(link, clock, ({ direction, bytes, from }) => {
    if (direction === "client-to-server") server.receive(bytes, simulatedAddress(from));
    else client.receive(bytes, server.address);
  });
  return { client: Object.assign(client, { peer: server.address }), server };
}

/** Both ends of a stream link as transports, client first, for a driver that lives on the same clock. */
export function streamTransports(link: StreamLink, clock: VirtualClock): [StreamTransport, StreamTransport] {
  const ends: Record<Direction, LinkStreamTransport> = {
    "client-to-server": new LinkStreamTransport("client-to-server", link, clock, () => sent()),
    "server-to-client": new LinkStreamTransport("server-to-client", link, clock, () => sent()),
  };
  const sent = deliverOnClock(link, clock, (delivery) => ends[opposite(delivery.direction)].receive(delivery));
  return [ends["client-to-server"], ends["server-to-client"]];
}

/** How a name on a simulated link looks to a driver: there are no ports. */
export function simulatedAddress(name: string): PeerAddress {
  return { host: name, port: 1 };
}

class LinkDatagramTransport implements DatagramTransport {
  readonly kind = "memory";
  readonly address: PeerAddress;
  readonly #send: (bytes: Uint8Array, to: PeerAddress) => void;
  readonly #clock: VirtualClock;
  #handlers: DatagramHandlers | undefined;
  #open = true;

  constructor(name: string, send: (bytes: Uint8Array, to: PeerAddress) => void, clock: VirtualClock) {
    this.address = simulatedAddress(name);
    this.#send = send;
    this.#clock = clock;
  }

  start(handlers: DatagramHandlers): void {
    this.#handlers = handlers;
  }

  send(data: Uint8Array, to: PeerAddress): void {
    if (this.#open) this.#send(data, to);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#clock.schedule(this.#clock.now(), () => this.#handlers?.onClose(undefined));
  }

  receive(data: Uint8Array, from: PeerAddress): void {
    if (this.#open) this.#handlers?.onDatagram(data, from);
  }
}

class LinkStreamTransport implements StreamTransport {
  readonly kind = "memory";
  readonly peer: PeerAddress;
  readonly #outward: Direction;
  readonly #link: StreamLink;
  readonly #clock: VirtualClock;
  readonly #sent: () => void;
  #handlers: StreamHandlers | undefined;
  /** Arrived while paused, or before start(). */
  readonly #held: StreamDelivery[] = [];
  #paused = false;
  #ended = false;
  #otherEnded = false;
  #closed = false;

  constructor(outward: Direction, link: StreamLink, clock: VirtualClock, sent: () => void) {
    this.peer = simulatedAddress(outward === "client-to-server" ? "server" : "client");
    this.#outward = outward;
    this.#link = link;
    this.#clock = clock;
    this.#sent = sent;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    this.#later(() => this.#drain());
  }

  /** A simulated network has room for everything: never false, except after the end. */
  write(bytes: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#link.send(this.#outward, bytes, this.#clock.now());
    this.#sent();
    return true;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#later(() => this.#drain());
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#link.end(this.#outward, this.#clock.now());
    this.#sent();
    this.resume();
  }

  destroy(): void {
    this.end();
    this.#close();
  }

  receive(delivery: StreamDelivery): void {
    this.#held.push(delivery);
    this.#drain();
  }

  #drain(): void {
    const handlers = this.#handlers;
    while (handlers !== undefined && !this.#paused && !this.#closed) {
      const next = this.#held.shift();
      if (next === undefined) break;
      if (!next.ended) handlers.onData(next.bytes);
      else {
        this.#otherEnded = true;
        handlers.onEnd();
        this.end();
      }
    }
    if (this.#ended && this.#otherEnded) this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#later(() => this.#handlers?.onClose(undefined));
  }

  #later(task: () => void): void {
    this.#clock.schedule(this.#clock.now(), task);
  }
}
