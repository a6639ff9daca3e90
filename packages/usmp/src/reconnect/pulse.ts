import { addMs, type Instant } from "@usmp/protocol";
import { Alarm, LATE_MS } from "../alarm.ts";
import type { Clock } from "../clock.ts";

/** A session keeps itself alive after keepaliveMs; only where it did not, because its own clockwork rings in the same moment, we ask. */
const BEHIND_KEEPALIVE_MS = 100;

export interface PulseSettings {
  readonly keepaliveMs: number;
  readonly deadAfterMs: number;
}

/** The session whose pulse is felt. */
export interface PulseSubject {
  /** PINGs that left so far, whoever wanted them. */
  readonly pingsSent: number;
  /** True while nothing is read: silence is ours then. */
  readonly deaf: boolean;
  ping(): void;
  /** The peer left what it must answer unanswered for `silentMs`. */
  onDead(silentMs: number): void;
}

/**
 * Finds out soon that a peer is gone. A session's own idle limit must be long, because silence alone proves little; here silence counts
 * from the moment when something was asked: a message over UDP, a PING. Only authentic frames end it. Time in which this process did
 * not run counts for nothing.
 */
export class Pulse {
  readonly #subject: PulseSubject;
  readonly #clock: Clock;
  readonly #settings: PulseSettings;
  readonly #alarm: Alarm;
  /** Last heard, or first asked after that. */
  #since: Instant;
  #asking = false;
  #askedAgain = false;
  #patienceMs: number;
  #pingsWhenHeard = 0;

  constructor(subject: PulseSubject, clock: Clock, settings: PulseSettings) {
    this.#subject = subject;
    this.#clock = clock;
    this.#settings = settings;
    this.#patienceMs = settings.deadAfterMs;
    this.#alarm = new Alarm(clock, { onAlarm: (lateMs) => this.#onAlarm(lateMs) });
    this.#since = clock.now();
    this.#arm();
  }

  /** Something that the peer must answer has left. */
  asked(): void {
    if (this.#asking) return;
    this.#begin();
    this.#arm();
  }

  /** Something authentic came. `stillAsking`: there is more that the peer must answer. */
  heard(stillAsking: boolean): void {
    this.#since = this.#clock.now();
    this.#asking = stillAsking;
    this.#askedAgain = false;
    this.#patienceMs = this.#settings.deadAfterMs;
    this.#pingsWhenHeard = this.#subject.pingsSent;
    this.#arm();
  }

  /** Asks for a sign of life now, and waits for it no longer than `patienceMs`. */
  probe(patienceMs: number): void {
    this.#begin();
    this.#askedAgain = true;
    this.#patienceMs = Math.min(patienceMs, this.#settings.deadAfterMs);
    this.#subject.ping();
    this.#alarm.clear();
    this.#arm();
  }

  stop(): void {
    this.#alarm.clear();
  }

  #begin(): void {
    this.#asking = true;
    this.#askedAgain = false;
    this.#since = this.#clock.now();
  }

  #onAlarm(lateMs: number): void {
    const now = this.#clock.now();
    if (lateMs >= LATE_MS || this.#subject.deaf) {
      this.#since = now;
      this.#askedAgain = false;
    }
    this.#judge(now - this.#since, now);
  }

  #judge(silentMs: number, now: Instant): void {
    if (this.#asking && silentMs >= this.#patienceMs) return this.#subject.onDead(silentMs);
    if (this.#asking && !this.#askedAgain && silentMs >= this.#patienceMs / 2) {
      this.#askedAgain = true;
      this.#subject.ping();
    }
    if (!this.#asking && now >= this.#keepaliveAt) {
      this.#begin();
      if (this.#subject.pingsSent === this.#pingsWhenHeard) this.#subject.ping();
    }
    this.#arm();
  }

  get #keepaliveAt(): Instant {
    return addMs(this.#since, this.#settings.keepaliveMs + BEHIND_KEEPALIVE_MS);
  }

  #arm(): void {
    if (!this.#asking) return this.#alarm.set(this.#keepaliveAt);
    this.#alarm.set(addMs(this.#since, this.#askedAgain ? this.#patienceMs : this.#patienceMs / 2));
  }
}
