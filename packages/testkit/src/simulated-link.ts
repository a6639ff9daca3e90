import { addMs, type Instant } from "@usmp/protocol";
import { flipBits } from "./damage.ts";
import {
  type Delivery,
  type Direction,
  type LinkCounts,
  type LinkEvent,
  type LinkTap,
  noCounts,
} from "./link-events.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** What a datagram link does to its traffic. Probabilities are per datagram, 0 to 1; what is not given is 0. */
export interface DatagramConditions {
  readonly drop?: number | undefined;
  /** One more copy, with a delay of its own. */
  readonly duplicate?: number | undefined;
  /** One to four flipped bits. */
  readonly damage?: number | undefined;
  /** Held back by up to `reorderMs` more than its latency, so that later ones overtake it. */
  readonly reorder?: number | undefined;
  /** Default 200. */
  readonly reorderMs?: number | undefined;
  /** Every datagram takes so long. */
  readonly latencyMs?: number | undefined;
  /** And up to so much more, evenly spread: neighbours overtake each other. */
  readonly jitterMs?: number | undefined;
}

/** What the test decides for one datagram; undefined leaves it to the conditions. */
export type Fate = "drop" | "deliver" | { readonly delayMs: number } | undefined;

export interface DatagramLinkOptions {
  readonly random: SeededRandom;
  readonly conditions?: DatagramConditions | undefined;
  /** Instead of `conditions` for one direction. */
  readonly toServer?: DatagramConditions | undefined;
  readonly toClient?: DatagramConditions | undefined;
  /** Decides the fate of single datagrams: `({ index }) => (index === 0 ? "drop" : undefined)`. */
  readonly decide?: ((sent: LinkEvent) => Fate) | undefined;
  readonly tap?: LinkTap | undefined;
  /** The client's address as the server sees it. Default "client". */
  readonly clientAddress?: string | undefined;
}

export interface DatagramDelivery extends Delivery {
  /** The sender's address when it sent: the client's may have changed since; the server's is "server". */
  readonly from: string;
}

interface InFlight extends DatagramDelivery {
  readonly index: number;
}

/**
 * A lossy path between one client and one server, in virtual time, without sockets: send() puts datagrams on it, deliver() takes
 * off what is due. The same seed and the same calls give the same fates.
 */
export class DatagramLink {
  readonly counts: Readonly<Record<Direction, LinkCounts>> = {
    "client-to-server": noCounts(),
    "server-to-client": noCounts(),
  };
  /** May be changed while the link is in use; what is under way keeps its fate. */
  conditions: Record<Direction, DatagramConditions>;
  readonly #random: SeededRandom;
  readonly #decide: ((sent: LinkEvent) => Fate) | undefined;
  readonly #tap: LinkTap | undefined;
  /** By time of arrival; at the same time, what was sent first arrives first. */
  readonly #inFlight: InFlight[] = [];
  #clientAddress: string;

  constructor(options: DatagramLinkOptions) {
    const both = options.conditions ?? {};
    this.conditions = {
      "client-to-server": options.toServer ?? both,
      "server-to-client": options.toClient ?? both,
    };
    this.#random = options.random;
    this.#decide = options.decide;
    this.#tap = options.tap;
    this.#clientAddress = options.clientAddress ?? "client";
  }

  get clientAddress(): string {
    return this.#clientAddress;
  }

  /** The client's NAT forgets it: what it sends from now on comes from `address`, and nothing reaches the old address any more. */
  moveClient(address: string): void {
    this.#clientAddress = address;
  }

  /** Takes a copy of one datagram. `to` is where the server sends it; by default the client's present address. */
  send(direction: Direction, bytes: Uint8Array, now: Instant, to: string = this.#clientAddress): void {
    const index = this.counts[direction].sent;
    const sent = this.#note({ type: "sent", direction, bytes: bytes.slice(), at: now, index });
    const from = direction === "client-to-server" ? this.#clientAddress : "server";
    const fate = this.#decide?.(sent);
    const lostByMove = direction === "server-to-client" && to !== this.#clientAddress;
    if (lostByMove || fate === "drop") this.#note({ ...sent, type: "dropped" });
    else if (fate === undefined) this.#sendByConditions(sent, from);
    else this.#launch(sent, from, fate === "deliver" ? this.#latency(direction) : fate.delayMs);
  }

  /** An attacker's datagram, which arrives at `at` whatever the conditions are. The tap sees it as "injected", never as "sent". */
  inject(direction: Direction, bytes: Uint8Array, at: Instant, from: string): void {
    const index = this.counts[direction].injected;
    const injected = this.#note({ type: "injected", direction, bytes: bytes.slice(), at, index });
    this.#launch(injected, from, 0);
  }

  /** When deliver() next has something; undefined when the link is empty. */
  nextDeliveryAt(): Instant | undefined {
    return this.#inFlight[0]?.at;
  }

  /** What has arrived by `now`, in order of arrival. */
  deliver(now: Instant): DatagramDelivery[] {
    const due: DatagramDelivery[] = [];
    for (let next = this.#inFlight[0]; next !== undefined && next.at <= now; next = this.#inFlight[0]) {
      this.#inFlight.shift();
      const { direction, bytes, at, from, index } = next;
      this.#note({ type: "delivered", direction, bytes, at, index });
      due.push({ direction, bytes, at, from });
    }
    return due;
  }

  /** Loses everything that is under way, as an outage would. */
  clear(): void {
    for (const lost of this.#inFlight.splice(0)) this.#note({ ...lost, type: "dropped" });
  }

  #sendByConditions(sent: LinkEvent, from: string): void {
    const { drop = 0, duplicate = 0 } = this.conditions[sent.direction];
    if (this.#random.chance(drop)) {
      this.#note({ ...sent, type: "dropped" });
      return;
    }
    this.#launch(this.#maybeDamaged(sent), from, this.#delay(sent.direction));
    if (!this.#random.chance(duplicate)) return;
    const copy = this.#note({ ...sent, type: "duplicated", bytes: sent.bytes.slice() });
    this.#launch(this.#maybeDamaged(copy), from, this.#delay(sent.direction));
  }

  #maybeDamaged(sent: LinkEvent): LinkEvent {
    if (!this.#random.chance(this.conditions[sent.direction].damage ?? 0) || sent.bytes.length === 0) return sent;
    return this.#note({ ...sent, type: "damaged", bytes: flipBits(sent.bytes, this.#random) });
  }

  #delay(direction: Direction): number {
    const { reorder = 0, reorderMs = 200 } = this.conditions[direction];
    return this.#latency(direction) + (this.#random.chance(reorder) ? this.#random.fraction() * reorderMs : 0);
  }

  #latency(direction: Direction): number {
    const { latencyMs = 0, jitterMs = 0 } = this.conditions[direction];
    return latencyMs + this.#random.fraction() * jitterMs;
  }

  #launch(sent: LinkEvent, from: string, delayMs: number): void {
    const { direction, bytes, index } = sent;
    const flight: InFlight = { direction, bytes, index, from, at: addMs(sent.at, delayMs) };
    const before = this.#inFlight.findLastIndex((other) => other.at <= flight.at);
    this.#inFlight.splice(before + 1, 0, flight);
  }

  #note(event: LinkEvent): LinkEvent {
    this.counts[event.direction][event.type]++;
    this.#tap?.(event);
    return event;
  }
}
