import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { PeerAddress } from "@usmp/transport";
import { FrameCutter } from "./frame-cutter.ts";
import type { Direction } from "./link-events.ts";

/** A piece of traffic in the relay's hands. */
export interface RelayedPiece {
  readonly direction: Direction;
  /** A chunk or a frame, as the options ask. */
  readonly bytes: Uint8Array;
  /** Counts pieces of this direction of this connection, from 0. */
  readonly index: number;
  readonly connection: RelayedConnection;
}

/** What goes on in place of a piece: undefined passes it unchanged, an empty list swallows it. */
export type Rewrite = (piece: RelayedPiece) => Uint8Array | readonly Uint8Array[] | undefined;

export interface TcpRelayOptions {
  readonly server: PeerAddress;
  readonly rewrite?: Rewrite | undefined;
  /** What `rewrite` is given: chunks as they come, or whole frames, cut by their length field. Default "frames". */
  readonly unit?: "chunks" | "frames" | undefined;
  /** Sends every byte in a segment of its own, one per turn of the event loop. Default false. */
  readonly singleBytes?: boolean | undefined;
  /** Holds every piece back so long, in order. Default 0. */
  readonly delayMs?: number | undefined;
  /** Called with each connection as it opens. */
  readonly onConnection?: ((connection: RelayedConnection) => void) | undefined;
}

/** A man in the middle of TCP connections: everything passes through it, changed as a test likes. */
export class TcpRelay {
  readonly connections: RelayedConnection[] = [];
  readonly #server: Server;

  private constructor(options: TcpRelayOptions) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const connection = new RelayedConnection(client, options);
      this.connections.push(connection);
      options.onConnection?.(connection);
    });
  }

  static async start(options: TcpRelayOptions): Promise<TcpRelay> {
    const relay = new TcpRelay(options);
    relay.#server.listen(0, options.server.host);
    await once(relay.#server, "listening");
    return relay;
  }

  get address(): PeerAddress {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the relay was closed");
    return { host: address.address, port: address.port };
  }

  /** Closes the listener and resets every connection. */
  async close(): Promise<void> {
    for (const connection of this.connections) connection.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export class RelayedConnection {
  /** Resolves when both sides have closed. */
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #options: TcpRelayOptions;
  readonly #counts: Record<Direction, number> = { "client-to-server": 0, "server-to-client": 0 };

  constructor(client: Socket, options: TcpRelayOptions) {
    const { host, port } = options.server;
    this.#client = client;
    this.#options = options;
    this.#upstream = createConnection({ host, port, allowHalfOpen: true, noDelay: true });
    this.closed = Promise.all([closeOf(this.#client), closeOf(this.#upstream)]).then(() => {});
    void this.#pump("client-to-server");
    void this.#pump("server-to-client");
  }

  /** Sends bytes of the attacker's own, behind what has passed so far. */
  inject(direction: Direction, bytes: Uint8Array): void {
    this.#ends(direction).to.write(bytes);
  }

  /** Resets both sides. */
  reset(): void {
    this.#client.resetAndDestroy();
    this.#upstream.resetAndDestroy();
  }

  #ends(direction: Direction): { readonly from: Socket; readonly to: Socket } {
    const toServer = direction === "client-to-server";
    return toServer ? { from: this.#client, to: this.#upstream } : { from: this.#upstream, to: this.#client };
  }

  /** Passes one direction on until its end, one piece after the other; the end of one side becomes the other's. */
  async #pump(direction: Direction): Promise<void> {
    const { from, to } = this.#ends(direction);
    const cutter = this.#options.unit === "chunks" ? undefined : new FrameCutter();
    try {
      // Without destroyOnReturn the end of one direction would close the other.
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        for (const bytes of cutter?.push(chunk) ?? [chunk]) await this.#pass(direction, bytes);
      }
      if (cutter !== undefined && cutter.held.length > 0) await this.#pass(direction, cutter.held);
      to.end();
    } catch {
      // One side was reset or closed hard: the other gets to know it the same way.
      to.resetAndDestroy();
    }
  }

  async #pass(direction: Direction, bytes: Uint8Array): Promise<void> {
    const { rewrite, delayMs = 0, singleBytes = false } = this.#options;
    if (delayMs > 0) await delay(delayMs);
    const index = this.#counts[direction]++;
    const rewritten = rewrite?.({ direction, bytes, index, connection: this }) ?? bytes;
    const { to } = this.#ends(direction);
    for (const piece of rewritten instanceof Uint8Array ? [rewritten] : rewritten) {
      if (singleBytes) await writeSingleBytes(to, piece);
      else await write(to, piece);
    }
  }
}

async function writeSingleBytes(to: Socket, bytes: Uint8Array): Promise<void> {
  for (let i = 0; i < bytes.length; i++) {
    await write(to, bytes.subarray(i, i + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves when the kernel has taken the bytes. */
function write(to: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(bytes, (error) => (error == null ? resolve() : reject(error)));
  });
}

function closeOf(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
