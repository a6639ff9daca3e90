import type { Instant } from "@usmp/protocol";

export type Direction = "client-to-server" | "server-to-client";

export function opposite(direction: Direction): Direction {
  return direction === "client-to-server" ? "server-to-client" : "client-to-server";
}

/** What a tap on a link sees. `bytes` are a copy of their own; a datagram, or on a stream link what one send() took or one chunk. */
export interface LinkEvent {
  readonly type: "sent" | "dropped" | "duplicated" | "damaged" | "injected" | "delivered";
  readonly direction: Direction;
  readonly bytes: Uint8Array;
  readonly at: Instant;
  /** Counts sends per direction, from 0; on a stream link's deliveries, chunks. */
  readonly index: number;
}

/** For oracles: called inside the link's calls, in order. What it throws comes out of send() or deliver(). */
export type LinkTap = (event: LinkEvent) => void;

/** What arrives: hand it to the end that `direction` points to. */
export interface Delivery {
  readonly direction: Direction;
  readonly bytes: Uint8Array;
  readonly at: Instant;
}

/** How often each thing happened, per direction or in sum. */
export type LinkCounts = Record<LinkEvent["type"], number>;

export function noCounts(): LinkCounts {
  return { sent: 0, dropped: 0, duplicated: 0, damaged: 0, injected: 0, delivered: 0 };
}
