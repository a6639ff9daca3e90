import { constants, type Instant, type Secret } from "@usmp/protocol";
import type { PeerAddress } from "@usmp/transport";
import { DatagramRouter, type RouterOptions } from "./datagram-router.ts";
import type { Mesh } from "./mesh.ts";

/** What a UDP acceptor lends to the shard that it is part of. */
export interface ShardSocket {
  /** Takes a datagram as if it had been read here. True when it was for a connection that is at `from`. */
  inject(data: Uint8Array, from: PeerAddress): boolean;
  shareCookieSecrets(current: Secret, previous: Secret): void;
}

/** Where a session frame's clear nonce names its session, and the type of any frame or UTACK stands. */
const SESSION_OFFSET: number = constants.HEADER_LENGTH + 4;
const FRAME_TYPE_OFFSET = 3;
const UTACK_TYPE_OFFSET = 2;
const UTACK_MARK = 0xac;
const HELLO = 0x01;
const HELLO_RETRY = 0x0a;
/** Addresses that were told to be ours; told again when one is forgotten, so a few do. */
const MAX_TOLD = 16_384;

export interface ShardOptions extends RouterOptions {
  readonly now: () => Instant;
}

/**
 * One of several UDP acceptors behind one port: sends on what another worker has, and takes in what another read. Only whole, well-formed
 * datagrams are sent on, and each at most twice.
 */
export class Shard {
  readonly #options: ShardOptions;
  readonly #router: DatagramRouter;
  readonly #told: Set<string> = new Set();
  #mesh: Mesh | undefined;
  #socket: ShardSocket | undefined;
  #secrets: readonly [Secret, Secret] | undefined;
  /** While a datagram of another worker's is looked at. */
  #hops = 0;
  #by: number;

  constructor(options: ShardOptions) {
    this.#options = options;
    this.#by = options.self;
    this.#router = new DatagramRouter(options, options.now());
  }

  /** Session ids that this worker may give to its sessions. */
  owns(sessionId: Uint8Array): boolean {
    return this.#options.ownerOf(sessionId) === this.#options.self;
  }

  join(mesh: Mesh): void {
    this.#mesh = mesh;
  }

  attach(socket: ShardSocket): void {
    this.#socket = socket;
    if (this.#secrets !== undefined) socket.shareCookieSecrets(...this.#secrets);
    this.#secrets = undefined;
  }

  shareCookieSecrets(current: Secret, previous: Secret): void {
    if (this.#socket === undefined) this.#secrets = [current, previous];
    else this.#socket.shareCookieSecrets(current, previous);
  }

  setPeers(peers: readonly { readonly index: number; readonly path: string }[]): void {
    this.#router.setAlive(peers.map(({ index }) => index));
    this.#mesh?.setPeers(peers);
    this.#told.clear();
  }

  /** A datagram was just read: true when it begins a handshake that is another worker's to shake, and went there. */
  takes(data: Uint8Array, from: PeerAddress): boolean {
    if (!beginsHandshake(data)) return false;
    const home = this.#router.homeOf(keyOf(from));
    return home !== this.#options.self && this.#forward(home, data, from);
  }

  /** Nothing here waits for this datagram: true when it went to another worker. */
  readonly onUnrouted = (by: "session-id" | "address", data: Uint8Array, from: PeerAddress): boolean => {
    if (by === "session-id") {
      const owner = this.#router.forSession(data.subarray(SESSION_OFFSET), this.#hops);
      return owner !== undefined && this.#forward(owner, data, from);
    }
    let sent = false;
    for (const worker of this.#router.forAddress(keyOf(from), this.#hops, this.#by, this.#options.now())) {
      sent = this.#forward(worker, data, from) || sent;
    }
    return sent;
  };

  onDatagram(data: Uint8Array, from: PeerAddress, hops: number, by: number): void {
    this.#hops = hops;
    this.#by = by;
    const mine = this.#socket?.inject(data, from) ?? false;
    this.#hops = 0;
    this.#by = this.#options.self;
    if (mine) this.#tell(from, by);
  }

  onClaim(from: PeerAddress, by: number): void {
    this.#router.claim(keyOf(from), by);
  }

  /** Who reads this address's datagrams, or shakes hands with it, learns whose they are: its UTACKs do not say so. */
  #tell(from: PeerAddress, by: number): void {
    const key = keyOf(from);
    const home = this.#options.shared ? this.#router.homeOf(key) : by;
    if (home === this.#options.self || this.#told.has(key)) return;
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.add(key);
    this.#mesh?.claim(home, from);
  }

  #forward(worker: number, data: Uint8Array, from: PeerAddress): boolean {
    return this.#mesh?.forward(worker, data, from, this.#hops + 1) ?? false;
  }
}

/** HELLO, and the UTACK of HELLO_RETRY, which concerns the same worker's memory. */
function beginsHandshake(data: Uint8Array): boolean {
  return data[0] === UTACK_MARK ? data[UTACK_TYPE_OFFSET] === HELLO_RETRY : data[FRAME_TYPE_OFFSET] === HELLO;
}

function keyOf({ host, port }: PeerAddress): string {
  return `${host} ${port}`;
}
