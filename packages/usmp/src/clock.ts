import { type Instant, instant } from "@usmp/protocol";

/** Monotonic time and one-shot alarms. The only place where the library meets a clock. */
export interface Clock {
  now(): Instant;
  /** Calls `alarm` once, at or after `at`; it may be earlier when the process was stopped in between. The answer cancels it; cancelling twice is harmless. */
  schedule(at: Instant, alarm: () => void): () => void;
}

/** How often a process that lives looks at its clock. */
const BEAT_MS = 500;
/** What more may pass between two looks before it counts as a stop: a busy event loop is late, too, and deadlines shall see that. */
const LATE_MS = 1_500;

/**
 * Time in which this process could act: monotonic, and standing still while the process was stopped (SIGSTOP, a debugger, a laptop
 * that slept, a paused virtual machine). Otherwise every session's silence and every handshake would run out at the moment of waking,
 * though the peers' frames wait in the kernel's buffers; and all of their timers would be due at once.
 *
 * A stop shows as a gap between two looks at the clock. While alarms are pending, a heartbeat looks at it twice a second.
 */
export class ProcessClock implements Clock {
  readonly #monotonic: () => number;
  #stoppedMs = 0;
  #lookedAt: number;
  #alarms = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  /** `monotonic` answers milliseconds. */
  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
    this.#lookedAt = monotonic();
  }

  now(): Instant {
    const at = this.#monotonic();
    const gap = at - this.#lookedAt;
    // Without a heartbeat nobody looked because nobody had to.
    if (this.#heartbeat !== undefined && gap > BEAT_MS + LATE_MS) this.#stoppedMs += gap - BEAT_MS;
    this.#lookedAt = at;
    return instant(at - this.#stoppedMs);
  }

  /** Alarms do not keep the process alive; sockets do. */
  schedule(at: Instant, alarm: () => void): () => void {
    const delayMs = Math.max(0, Math.ceil(at - this.now()));
    this.#alarms++;
    if (this.#heartbeat === undefined) {
      this.#heartbeat = setInterval(() => this.now(), BEAT_MS);
      this.#heartbeat.unref();
    }
    // One closure each: thousands of idle sessions have an alarm.
    let timer: NodeJS.Timeout | undefined = setTimeout(() => {
      timer = undefined;
      this.#forgetAlarm();
      alarm();
    }, delayMs);
    timer.unref();
    return () => {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      this.#forgetAlarm();
    };
  }

  #forgetAlarm(): void {
    this.#alarms--;
    if (this.#alarms > 0) return;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}

/** The clock that all sessions of this process live by, unless they are given another. */
export const systemClock: Clock = new ProcessClock();
