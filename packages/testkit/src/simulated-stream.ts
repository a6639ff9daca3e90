import { addMs, earliest, type Instant } from "@usmp/protocol";
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

/** What a stream link does to its traffic: TCP's own promises hold (order, nothing lost), all else is the network's. */
export interface StreamConditions {
  /**
   * How bytes fall into chunks: as they were written, one by one, or cut and joined at random without regard to writes.
   * Default "written".
   */
  readonly chunks?: "written" | "bytes" | "random" | undefined;
  readonly latencyMs?: number | undefined;
  readonly jitterMs?: number | undefined;
  /** Probability, per chunk, of one to four flipped bits: what a broken middlebox or an attacker does. */
  readonly damage?: number | undefined;
}

export interface StreamLinkOptions {
  readonly random: SeededRandom;
  readonly conditions?: StreamConditions | undefined;
  readonly tap?: LinkTap | undefined;
}

/** A chunk, or with `ended` the peer's orderly end: no more comes that way, and `bytes` is empty. */
export interface StreamDelivery extends Delivery {
  readonly ended: boolean;
}

/** Largest chunk that "random" cuts: three whole frames and a part, so that chunks hold parts of frames as well as several. */
const MAX_RANDOM_CHUNK = 1700;

/** An ordered path in both directions between one client and one server, in virtual time, without sockets. */
export class StreamLink {
  readonly counts: Readonly<Record<Direction, LinkCounts>> = {
    "client-to-server": noCounts(),
    "server-to-client": noCounts(),
  };
  readonly #lanes: Readonly<Record<Direction, Lane>>;

  constructor(options: StreamLinkOptions) {
    const note = (event: LinkEvent): void => {
      this.counts[event.direction][event.type]++;
      options.tap?.(event);
    };
    const lane = (direction: Direction): Lane => {
      return new Lane(direction, options.random.fork(), options.conditions ?? {}, note);
    };
    this.#lanes = { "client-to-server": lane("client-to-server"), "server-to-client": lane("server-to-client") };
  }

  /** Takes a copy of what one write sends. Throws after end(), as that would be the tested code's mistake. */
  send(direction: Direction, bytes: Uint8Array, now: Instant): void {
    this.#lanes[direction].send(bytes, now);
  }

  /** The sender's orderly end, behind everything that it sent. */
  end(direction: Direction, now: Instant): void {
    this.#lanes[direction].end(now);
  }

  nextDeliveryAt(): Instant | undefined {
    return earliest(this.#lanes["client-to-server"].nextAt(), this.#lanes["server-to-client"].nextAt());
  }

  /** What has arrived by `now`: first the client's, then the server's, each in order. */
  deliver(now: Instant): StreamDelivery[] {
    return [...this.#lanes["client-to-server"].deliver(now), ...this.#lanes["server-to-client"].deliver(now)];
  }
}

interface Segment {
  readonly bytes: Uint8Array;
  readonly at: Instant;
  readonly ended: boolean;
}

/** One direction. */
class Lane {
  readonly #direction: Direction;
  readonly #random: SeededRandom;
  readonly #conditions: StreamConditions;
  readonly #note: (event: LinkEvent) => void;
  #segments: Segment[] = [];
  #lastAt: Instant | undefined;
  #ended = false;
  #sends = 0;
  #chunks = 0;

  constructor(
    direction: Direction,
    random: SeededRandom,
    conditions: StreamConditions,
    note: (event: LinkEvent) => void,
  ) {
    this.#direction = direction;
    this.#random = random;
    this.#conditions = conditions;
    this.#note = note;
  }

  send(bytes: Uint8Array, now: Instant): void {
    if (this.#ended) throw new Error(`bytes were sent ${this.#direction} after the end of that direction`);
    const copy = bytes.slice();
    this.#note({ type: "sent", direction: this.#direction, bytes: copy, at: now, index: this.#sends++ });
    for (const piece of this.#cut(copy)) this.#launch(piece, now, false);
  }

  end(now: Instant): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#launch(new Uint8Array(0), now, true);
  }

  nextAt(): Instant | undefined {
    return this.#segments[0]?.at;
  }

  *deliver(now: Instant): Generator<StreamDelivery, void, undefined> {
    const late = this.#segments.findIndex((segment) => segment.at > now);
    const due = this.#segments.splice(0, late === -1 ? this.#segments.length : late);
    for (const { bytes, at, ended } of this.#conditions.chunks === "random" ? this.#joined(due) : due) {
      const direction = this.#direction;
      if (!ended) this.#note({ type: "delivered", direction, bytes, at, index: this.#chunks++ });
      yield { direction, bytes, at, ended };
    }
  }

  #launch(bytes: Uint8Array, now: Instant, ended: boolean): void {
    const { latencyMs = 0, jitterMs = 0, damage = 0 } = this.#conditions;
    const arrival = addMs(now, latencyMs + this.#random.fraction() * jitterMs);
    // A stream keeps its order: what would overtake waits for what is before it.
    const at = this.#lastAt !== undefined && this.#lastAt > arrival ? this.#lastAt : arrival;
    this.#lastAt = at;
    const hit = this.#random.chance(damage) && bytes.length > 0;
    const arriving = hit ? flipBits(bytes, this.#random) : bytes;
    if (hit)
      this.#note({ type: "damaged", direction: this.#direction, bytes: arriving, at: now, index: this.#sends - 1 });
    this.#segments.push({ bytes: arriving, at, ended });
  }

  *#cut(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
    const { chunks = "written" } = this.#conditions;
    let offset = 0;
    while (offset < bytes.length) {
      const rest = bytes.length - offset;
      const length = chunks === "written" ? rest : chunks === "bytes" ? 1 : this.#randomLength(rest);
      yield bytes.subarray(offset, offset + length);
      offset += length;
    }
  }

  /** Half of the cuts are short, to fall inside headers. */
  #randomLength(rest: number): number {
    const most = this.#random.chance(0.5) ? 16 : MAX_RANDOM_CHUNK;
    return this.#random.between(1, Math.min(rest, most));
  }

  #joined(segments: readonly Segment[]): Segment[] {
    const joined: Segment[] = [];
    for (const segment of segments) {
      const last = joined.at(-1);
      if (last === undefined || segment.ended || !this.#random.chance(0.5)) joined.push(segment);
      else joined[joined.length - 1] = { ...segment, bytes: joinBytes(last.bytes, segment.bytes) };
    }
    return joined;
  }
}

function joinBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
