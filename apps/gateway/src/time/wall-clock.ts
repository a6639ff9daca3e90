import type { WallMs } from "../records.ts";

/** Why a wall clock is not believed. */
export type ClockDoubt =
  | { readonly doubt: "before-build"; readonly buildDate: string }
  | { readonly doubt: "before-last-run"; readonly lastRunAt: WallMs }
  | { readonly doubt: "stepped"; readonly byMs: number };

/**
 * The wall clock, and whether it may end anything. A Raspberry Pi has no clock at boot; a step of more than an hour, a time before the
 * build's date or before the last run leaves the clock in doubt until confirm(). Grace periods, tokens and retention end only on a
 * clock without doubt; stamps in logs and records are written all the same. Timers use the monotonic clock, never this one.
 */
export interface WallClock {
  now(): WallMs;
  /** Undefined: the clock is trusted. Looks at the clock anew. */
  readonly doubt: ClockDoubt | undefined;
  /** A person, or the system's time synchronization, vouches for the present time. */
  confirm(): void;
}
