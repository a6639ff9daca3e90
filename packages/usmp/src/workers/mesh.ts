import { connect, createServer, type Server } from "node:net";
import type { PeerAddress } from "@usmp/transport";
import { Channel } from "./channel.ts";
import { Kind } from "./records.ts";

/** Until a link that failed is tried again. */
const RECONNECT_MS = 200;

export interface MeshHandlers {
  /** A datagram that `from` sent to the port, handed over by worker `by` after so many hops. */
  onDatagram(data: Uint8Array, from: PeerAddress, hops: number, by: number): void;
  /** Worker `by` has the session of this address. */
  onClaim(from: PeerAddress, by: number): void;
}

/**
 * Sockets from each worker to each other one, for datagrams that the wrong one read: nothing else crosses them, and no key. What does not fit
 * into a full socket is dropped, as the network would.
 */
export class Mesh {
  readonly #self: number;
  readonly #handlers: MeshHandlers;
  readonly #server: Server;
  readonly #links: Map<number, { readonly path: string; readonly channel: Channel }> = new Map();
  readonly #incoming: Set<Channel> = new Set();
  #closed = false;

  private constructor(self: number, handlers: MeshHandlers) {
    this.#self = self;
    this.#handlers = handlers;
    this.#server = createServer((socket) => {
      const channel: Channel = new Channel(socket, {
        onRecord: (kind, body) => this.#onRecord(kind, body),
        onClose: () => this.#incoming.delete(channel),
      });
      this.#incoming.add(channel);
    });
    this.#server.unref();
  }

  /** Listens for the other workers at `path`, which lies in a directory that is nobody else's. */
  static open(self: number, path: string, handlers: MeshHandlers): Promise<Mesh> {
    const mesh = new Mesh(self, handlers);
    return new Promise((resolve, reject) => {
      // Also after it listens: an accept that fails must not end this worker.
      mesh.#server.on("error", reject).listen(path, () => resolve(mesh));
    });
  }

  /** Who is there now; new ones are connected to, others let go. */
  setPeers(peers: readonly { readonly index: number; readonly path: string }[]): void {
    for (const [index, { path, channel }] of this.#links) {
      if (peers.some((peer) => peer.index === index && peer.path === path)) continue;
      channel.destroy();
      this.#links.delete(index);
    }
    for (const { index, path } of peers) {
      if (index === this.#self || this.#links.has(index)) continue;
      this.#link(index, path);
    }
  }

  #link(index: number, path: string): void {
    const channel: Channel = new Channel(connect(path), {
      onRecord: () => {},
      onClose: () => {
        // Not by setPeers(): it failed, and what is forwarded meanwhile is lost, as datagrams may be.
        if (this.#links.get(index)?.channel !== channel || this.#closed) return;
        setTimeout(() => {
          if (this.#links.get(index)?.channel === channel && !this.#closed) this.#link(index, path);
        }, RECONNECT_MS).unref();
      },
    });
    this.#links.set(index, { path, channel });
  }

  /** True when the datagram is on its way to the worker. */
  forward(worker: number, data: Uint8Array, from: PeerAddress, hops: number): boolean {
    const channel = this.#links.get(worker)?.channel;
    if (channel === undefined || channel.full) return false;
    const host = Buffer.from(from.host, "latin1");
    channel.send(Kind.datagram, numberOf(this.#self, hops, host.length), from.port, Buffer.concat([host, data]));
    return true;
  }

  claim(worker: number, from: PeerAddress): void {
    const host = Buffer.from(from.host, "latin1");
    this.#links.get(worker)?.channel.send(Kind.claim, numberOf(this.#self, 0, host.length), from.port, host);
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
    for (const { channel } of this.#links.values()) channel.destroy();
    for (const channel of this.#incoming) channel.destroy();
  }

  #onRecord(kind: number, body: Buffer): void {
    const by = body[0] as number;
    const hops = body[1] as number;
    const hostEnd = 8 + (body[2] as number);
    const from = { host: body.toString("latin1", 8, hostEnd), port: body.readUInt32LE(4) };
    if (kind === Kind.claim) this.#handlers.onClaim(from, by);
    else this.#handlers.onDatagram(new Uint8Array(body.subarray(hostEnd)), from, hops, by);
  }
}

/** Three bytes of a record's first number, in the order in which they are read. */
function numberOf(self: number, hops: number, hostLength: number): number {
  return self | (hops << 8) | (hostLength << 16);
}
