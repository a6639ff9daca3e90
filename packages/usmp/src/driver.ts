import { addMs, type CloseReason, type Connection, type ConnectionEvent, type Instant } from "@usmp/protocol";
import { Alarm, LATE_MS } from "./alarm.ts";
import type { Clock } from "./clock.ts";

/** Who hears what a connection does: first an attempt (client.ts, server.ts), then its session (session.ts). */
export interface ConnectionOwner {
  onEvent(event: ConnectionEvent): void;
}

/** Ends after which nothing more is owed to the peer, or nobody is there to take it. */
const ABRUPT: ReadonlySet<CloseReason["code"]> = new Set([
  "aborted",
  "closed-by-peer",
  "evicted",
  "peer-silent",
  "transport-failed",
]);

/**
 * How long a late alarm waits for what came while this process did not run. Timers ring before sockets are read, and a server's socket
 * may hold the datagrams of thousands of sessions: silence is judged once they are through.
 */
const CATCH_UP_MS = 1_000;

/**
 * The only pump: every change of a connection goes through run(), which drains it afterwards and keeps one alarm for it.
 * An alarm that fires early, because its deadline has moved on, just finds nothing due: so activity costs no re-arming.
 */
export abstract class Driver<C extends Connection> {
  readonly connection: C;
  protected readonly clock: Clock;
  /** Hears the connection's events; set before the first of them, and handed on when an attempt becomes a session. */
  owner: ConnectionOwner | undefined;
  readonly #alarm: Alarm;
  /** While a late alarm waits for what came meanwhile. */
  #heldUntil: Instant | undefined;
  #draining = false;

  constructor(connection: C, clock: Clock) {
    this.connection = connection;
    this.clock = clock;
    this.#alarm = new Alarm(clock, this);
  }

  /** Changes the connection and drains it. What an event's handler changes in turn is drained by the same pump. */
  run<T>(mutate: (connection: C, now: Instant) => T): T {
    const result = mutate(this.connection, this.clock.now());
    this.drain();
    return result;
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      this.transmit();
      for (let event = this.connection.pollEvent(); event !== undefined; event = this.connection.pollEvent()) {
        this.owner?.onEvent(event);
        this.transmit();
        if (event.type === "closed") this.onClosed(!ABRUPT.has(event.reason.code));
      }
    } finally {
      this.#draining = false;
    }
    this.#arm();
  }

  /** Sends what the connection has ready, now or at the end of this turn. */
  protected abstract transmit(): void;
  /** The connection has ended: lets go of the transport, after what waits has left when `orderly`. */
  protected abstract onClosed(orderly: boolean): void;

  #arm(): void {
    if (!this.connection.timeoutMoved && this.#heldUntil === undefined) return;
    const next = this.connection.pollTimeout();
    const held = this.#heldUntil;
    this.#alarm.set(next !== undefined && held !== undefined && held > next ? held : next);
  }

  /** A late one waits once: a process that is always late must still do what is due. */
  onAlarm(lateMs: number): void {
    if (lateMs >= LATE_MS && this.#heldUntil === undefined) {
      this.#heldUntil = addMs(this.clock.now(), CATCH_UP_MS);
      this.#arm();
      return;
    }
    this.#heldUntil = undefined;
    this.run((connection, now) => connection.handleTimeout(now));
  }
}
