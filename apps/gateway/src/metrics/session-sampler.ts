import { addMs, type Instant } from "@usmp/protocol";
import type { Clock, SessionStatistics, TransportName } from "usmp";
import type { GatewaySession } from "../gateway/gateway.ts";
import type { WallMs } from "../records.ts";

/** What all sessions of one transport have done together since the start, those that have ended included. */
export interface SessionTotals {
  messagesReceived: number;
  messagesSent: number;
  bytesReceived: number;
  bytesSent: number;
  framesReceived: number;
  framesSent: number;
  retransmissions: number;
  rekeys: number;
}

/** What is known of one session beside its own counters. */
export interface SessionPace {
  /** Messages a second, both ways, in the last seconds. */
  readonly rate: number;
  readonly since: WallMs;
  /** When its device was last heard, to within the time between two looks. */
  readonly seenAt: WallMs;
}

interface Known extends SessionPace {
  readonly session: GatewaySession["session"];
  readonly transport: TransportName;
  rate: number;
  seenAt: WallMs;
  /** As added to the totals. */
  counted: SessionStatistics;
  /** For the rate: where it was measured from. */
  messages: number;
  at: Instant;
}

const EVERY_MS = 5_000;
/** A rate over less says little, and a look that is younger is good enough. */
const SHORTEST_MS = 1_000;
/** Sessions looked at in one turn of the event loop. */
const SESSIONS_A_TURN = 1_000;

/**
 * Looks at the counters that every session keeps anyway, every few seconds and when somebody asks: a message costs nothing for being counted.
 */
export class SessionSampler {
  readonly #clock: Clock;
  readonly #wallNow: () => WallMs;
  readonly #known: Map<GatewaySession, Known> = new Map();
  readonly #totals: Readonly<Record<TransportName, SessionTotals>> = { tcp: { ...ZERO }, udp: { ...ZERO } };
  readonly #dropped: Map<string, number> = new Map();
  #lookedAt: Instant | undefined;
  #looking: Promise<void> | undefined;
  #cancel: () => void = () => {};

  constructor(clock: Clock, wallNow: () => WallMs) {
    this.#clock = clock;
    this.#wallNow = wallNow;
    this.#schedule();
  }

  add(admitted: GatewaySession): void {
    const { session } = admitted;
    const known: Known = {
      session,
      transport: session.transport,
      rate: 0,
      since: this.#wallNow(),
      seenAt: this.#wallNow(),
      counted: NOTHING,
      messages: 0,
      at: this.#clock.now(),
    };
    this.#known.set(admitted, known);
    void session.closed.then(() => {
      this.#count(known);
      this.#known.delete(admitted);
    });
  }

  /** Brings everything up to date, unless that was done a moment ago. */
  async look(): Promise<void> {
    const fresh = this.#lookedAt !== undefined && this.#clock.now() - this.#lookedAt < SHORTEST_MS;
    if (!fresh || this.#looking !== undefined) await this.lookNow();
  }

  /** As look(), however fresh what is known is. */
  lookNow(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  get sessions(): Readonly<Record<TransportName, number>> {
    const counts = { tcp: 0, udp: 0 };
    for (const { transport } of this.#known.values()) counts[transport]++;
    return counts;
  }

  get totals(): Readonly<Record<TransportName, Readonly<SessionTotals>>> {
    return this.#totals;
  }

  /** Frames that had no effect, by cause. */
  get dropped(): ReadonlyMap<string, number> {
    return this.#dropped;
  }

  pace(admitted: GatewaySession): SessionPace | undefined {
    return this.#known.get(admitted);
  }

  close(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.schedule(addMs(this.#clock.now(), EVERY_MS), () => {
      void this.lookNow().then(() => this.#schedule());
    });
  }

  async #look(): Promise<void> {
    let count = 0;
    for (const known of [...this.#known.values()]) {
      if (known.session.open) this.#count(known);
      if (++count % SESSIONS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#lookedAt = this.#clock.now();
  }

  #countDropped(cause: string, now: SessionStatistics, before: SessionStatistics): void {
    const more = (now.dropped[cause] ?? 0) - (before.dropped[cause] ?? 0);
    if (more > 0) this.#dropped.set(cause, (this.#dropped.get(cause) ?? 0) + more);
  }

  #count(known: Known): void {
    const before = known.counted;
    const now = known.session.statistics;
    const totals = this.#totals[known.transport];
    // Field by field: a loop over their names costs five times as much, and there are ten thousand sessions.
    totals.messagesReceived += now.messagesReceived - before.messagesReceived;
    totals.messagesSent += now.messagesSent - before.messagesSent;
    totals.bytesReceived += now.bytesReceived - before.bytesReceived;
    totals.bytesSent += now.bytesSent - before.bytesSent;
    totals.framesReceived += now.framesReceived - before.framesReceived;
    totals.framesSent += now.framesSent - before.framesSent;
    totals.retransmissions += now.retransmissions - before.retransmissions;
    totals.rekeys += now.epoch - before.epoch;
    for (const cause in now.dropped) this.#countDropped(cause, now, before);
    known.counted = now;
    if (now.bytesReceived > before.bytesReceived) known.seenAt = this.#wallNow();
    const passed = this.#clock.now() - known.at;
    if (passed < SHORTEST_MS) return;
    const messages = now.messagesReceived + now.messagesSent;
    known.rate = ((messages - known.messages) * 1_000) / passed;
    known.messages = messages;
    known.at = this.#clock.now();
  }
}

const ZERO: Readonly<SessionTotals> = {
  messagesReceived: 0,
  messagesSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  framesReceived: 0,
  framesSent: 0,
  retransmissions: 0,
  rekeys: 0,
};

const NOTHING: SessionStatistics = { ...ZERO, dropped: {}, epoch: 0, roundTripMs: undefined };
