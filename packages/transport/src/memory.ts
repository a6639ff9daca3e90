import type { DatagramHandlers, DatagramTransport, PeerAddress, StreamHandlers, StreamTransport } from "./transport.ts";

/** Runs a task later, never at once: how memory transports deliver. Default: queueMicrotask. */
export type Scheduler = (task: () => void) => void;

export interface MemoryStreamOptions {
  readonly scheduler?: Scheduler | undefined;
  /** Undelivered bytes above which write() answers false. Default 16,384, as TCP's. */
  readonly highWaterMark?: number | undefined;
}

/** Two ends of an ordered byte stream inside this process: for tests, and for a client and a server in one process. */
export function memoryStreamPair(options: MemoryStreamOptions = {}): [StreamTransport, StreamTransport] {
  const scheduler = options.scheduler ?? queueMicrotask;
  const highWaterMark = options.highWaterMark ?? 16_384;
  const a = new MemoryStream({ host: "memory", port: 2 }, scheduler, highWaterMark);
  const b = new MemoryStream({ host: "memory", port: 1 }, scheduler, highWaterMark);
  a.other = b;
  b.other = a;
  return [a, b];
}

/** Two datagram sockets of one network of their own, at ports 1 and 2. */
export function memoryDatagramPair(scheduler?: Scheduler): [DatagramTransport, DatagramTransport] {
  const network = new MemoryNetwork(scheduler);
  return [network.bind(1), network.bind(2)];
}

/** Datagram sockets that reach each other by port. Nothing is lost, doubled or reordered: the testkit's links do that. */
export class MemoryNetwork {
  readonly #scheduler: Scheduler;
  readonly #sockets = new Map<number, MemoryDatagramSocket>();

  constructor(scheduler: Scheduler = queueMicrotask) {
    this.#scheduler = scheduler;
  }

  bind(port: number): DatagramTransport {
    if (this.#sockets.has(port)) throw new Error(`port ${port} of this memory network is taken; choose another`);
    const socket = new MemoryDatagramSocket(this, { host: "memory", port });
    this.#sockets.set(port, socket);
    return socket;
  }

  /** For the sockets: a datagram for a port that nobody has is lost, as it would be on any network. */
  deliver(data: Uint8Array, from: PeerAddress, to: PeerAddress): void {
    this.#scheduler(() => this.#sockets.get(to.port)?.receive(data, from));
  }

  /** For the sockets: frees the port at once and tells the socket later. */
  release(socket: MemoryDatagramSocket): void {
    this.#sockets.delete(socket.address.port);
    this.#scheduler(() => socket.deliverClose());
  }
}

class MemoryDatagramSocket implements DatagramTransport {
  readonly kind = "memory";
  readonly address: PeerAddress;
  readonly #network: MemoryNetwork;
  #handlers: DatagramHandlers | undefined;
  #open = true;

  constructor(network: MemoryNetwork, address: PeerAddress) {
    this.#network = network;
    this.address = address;
  }

  start(handlers: DatagramHandlers): void {
    this.#handlers = handlers;
  }

  send(data: Uint8Array, to: PeerAddress): void {
    if (this.#open) this.#network.deliver(data, this.address, to);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#network.release(this);
  }

  receive(data: Uint8Array, from: PeerAddress): void {
    this.#handlers?.onDatagram(data, from);
  }

  deliverClose(): void {
    this.#handlers?.onClose(undefined);
  }
}

/** Stands in the queue behind the last chunk. */
const END = Symbol("end");

class MemoryStream implements StreamTransport {
  readonly kind = "memory";
  readonly peer: PeerAddress;
  /** Set by memoryStreamPair() before anyone sees either end. */
  other!: MemoryStream;
  readonly #scheduler: Scheduler;
  readonly #highWaterMark: number;
  #handlers: StreamHandlers | undefined;
  /** What the other end wrote and this one has not been given yet. */
  readonly #incoming: (Uint8Array | typeof END)[] = [];
  #waitingBytes = 0;
  #otherWaitsForDrain = false;
  #pumpScheduled = false;
  #paused = false;
  #ended = false;
  #otherEnded = false;
  #closed = false;

  constructor(peer: PeerAddress, scheduler: Scheduler, highWaterMark: number) {
    this.peer = peer;
    this.#scheduler = scheduler;
    this.#highWaterMark = highWaterMark;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    if (this.#closed) this.#scheduleClose();
    else this.#schedulePump();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended || this.#closed) return false;
    return this.other.#accept(bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedulePump();
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#sendEnd();
    this.resume();
    this.#closeWhenBothEnded();
  }

  /** What was written before is still delivered, as a kernel would; then the other end sees an orderly end. */
  destroy(): void {
    if (this.#closed) return;
    if (!this.#ended) this.#sendEnd();
    this.#close();
  }

  #accept(bytes: Uint8Array): boolean {
    if (this.#closed) return false;
    this.#incoming.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#schedulePump();
    this.#otherWaitsForDrain ||= this.#waitingBytes > this.#highWaterMark;
    return !this.#otherWaitsForDrain;
  }

  #sendEnd(): void {
    this.#ended = true;
    this.other.#incoming.push(END);
    this.other.#schedulePump();
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#scheduler(() => this.#pump());
  }

  #pump(): void {
    this.#pumpScheduled = false;
    const handlers = this.#handlers;
    while (handlers !== undefined && !this.#paused && !this.#closed) {
      const next = this.#incoming.shift();
      if (next === undefined) break;
      if (next === END) this.#onOtherEnd(handlers);
      else {
        this.#waitingBytes -= next.length;
        handlers.onData(next);
      }
    }
    if (this.#waitingBytes === 0 && this.#otherWaitsForDrain) {
      this.#otherWaitsForDrain = false;
      this.other.#handlers?.onDrain();
    }
  }

  #onOtherEnd(handlers: StreamHandlers): void {
    this.#otherEnded = true;
    handlers.onEnd();
    this.end();
    this.#closeWhenBothEnded();
  }

  #closeWhenBothEnded(): void {
    if (this.#ended && this.#otherEnded && !this.#closed) this.#close();
  }

  #close(): void {
    this.#closed = true;
    this.#incoming.length = 0;
    this.#scheduleClose();
  }

  #scheduleClose(): void {
    this.#scheduler(() => {
      this.#handlers?.onClose(undefined);
      this.#handlers = undefined;
    });
  }
}
