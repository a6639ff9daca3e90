import type { CloseReason, Connection, ConnectionEvent, Instant } from "@usmp/protocol";
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
 * The only pump: every change of a connection goes through run(), which drains it afterwards and keeps one alarm for it.
 * An alarm that fires early, because its deadline has moved on, just finds nothing due: so activity costs no re-arming.
 */
export abstract class Driver<C extends Connection> {
  readonly connection: C;
  protected readonly clock: Clock;
  /** Hears the connection's events; set before the first of them, and handed on when an attempt becomes a session. */
  owner: ConnectionOwner | undefined;
  #alarmAt: Instant | undefined;
  #cancelAlarm: (() => void) | undefined;
  #draining = false;

  constructor(connection: C, clock: Clock) {
    this.connection = connection;
    this.clock = clock;
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
    const next = this.connection.pollTimeout();
    if (next === undefined) {
      this.#disarm();
      return;
    }
    if (this.#alarmAt !== undefined && this.#alarmAt <= next) return;
    this.#disarm();
    this.#alarmAt = next;
    this.#cancelAlarm = this.clock.schedule(next, this.#onAlarm);
  }

  readonly #onAlarm = (): void => {
    this.#alarmAt = undefined;
    this.#cancelAlarm = undefined;
    this.run((connection, now) => connection.handleTimeout(now));
  };

  #disarm(): void {
    this.#cancelAlarm?.();
    this.#cancelAlarm = undefined;
    this.#alarmAt = undefined;
  }
}
