import { type Instant, instant } from "@usmp/protocol";

/** Monotonic time and one-shot alarms. The only place where the library meets a clock. */
export interface Clock {
  now(): Instant;
  /** Calls `alarm` once, at or after `at`. The answer cancels it; cancelling twice is harmless. */
  schedule(at: Instant, alarm: () => void): () => void;
}

/** The process's monotonic clock. Alarms do not keep the process alive; sockets do. */
export const systemClock: Clock = {
  now: () => instant(performance.now()),
  schedule(at, alarm) {
    const timer = setTimeout(alarm, Math.max(0, Math.ceil(at - performance.now())));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
