import type { Socket } from "node:net";
import { sourceOf } from "@usmp/protocol";
import { plainAddress } from "./admission.ts";

interface Place {
  readonly socket: Socket;
  readonly source: string;
  /** A good token came over it. */
  proven: boolean;
}

/**
 * The places for connections. When they run out, the oldest one of the source that has the most gives way, of those without a good token first: a
 * crowd of silent connections pushes out only its own.
 */
export class Connections {
  readonly #most: number;
  readonly #places: Map<string, Place> = new Map();
  #evicted = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#places.size;
  }

  get evicted(): number {
    return this.#evicted;
  }

  add(socket: Socket): void {
    if (this.#places.size >= this.#most) this.#evict();
    const key = keyOf(socket);
    const place = { socket, source: sourceOf(plainAddress(socket.remoteAddress)), proven: false };
    this.#places.set(key, place);
    socket.on("close", () => {
      if (this.#places.get(key) === place) this.#places.delete(key);
    });
    socket.on("error", () => {});
  }

  /** Of a TLS connection it may be either socket. */
  noteProven(socket: Socket): void {
    const place = this.#places.get(keyOf(socket));
    if (place !== undefined) place.proven = true;
  }

  close(): void {
    for (const { socket } of this.#places.values()) socket.destroy();
  }

  #evict(): void {
    const all = [...this.#places];
    const strangers = all.filter(([, { proven }]) => !proven);
    const candidates = strangers.length > 0 ? strangers : all;
    const counts = new Map<string, number>();
    for (const [, { source }] of candidates) counts.set(source, (counts.get(source) ?? 0) + 1);
    const [most] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
    const [key, place] = candidates.find(([, { source }]) => source === most) ?? [];
    if (key === undefined || place === undefined) return;
    this.#evicted++;
    this.#places.delete(key);
    place.socket.destroy();
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
