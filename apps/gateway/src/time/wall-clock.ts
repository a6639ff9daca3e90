import { statSync } from "node:fs";
import { uptime } from "node:os";
import { formatTime, type WallMs } from "../records.ts";

/** Why a wall clock is not believed. */
export type ClockDoubt =
  | { readonly doubt: "before-build"; readonly buildDate: string }
  | { readonly doubt: "before-last-run"; readonly lastRunAt: string }
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
  /** What an earlier run saw: the clock may not be before it. */
  noteLastRun(at: WallMs): void;
}

export interface ClockSources {
  readonly wall: () => WallMs;
  /** Milliseconds that count on while the host sleeps. */
  readonly sinceBoot: () => number;
  /** When the system last synchronized its time, by its own clock; undefined when it does not say. */
  readonly synchronizedAt: () => WallMs | undefined;
}

/** No gateway of this version ran before. */
const BUILD_DATE = Date.UTC(2026, 10, 1);
const TOLERATED_STEP_MS = 3_600_000;
const SYNCHRONIZATION_SLACK_MS = 5_000;

export function createWallClock(sources: ClockSources = systemSources): WallClock {
  return new DoubtingClock(sources);
}

class DoubtingClock implements WallClock {
  readonly #sources: ClockSources;
  /** The last moment at which the clock was believed: wall time and time since boot. */
  #believed: { readonly wall: WallMs; readonly boot: number };
  #lastRunAt = 0;
  /** Set while in doubt: the wall time at which it was noticed. */
  #doubtedSince: WallMs | undefined;
  /** confirm() accepts even a time before the build or the last run. */
  #confirmed = false;

  constructor(sources: ClockSources) {
    this.#sources = sources;
    this.#believed = { wall: sources.wall(), boot: sources.sinceBoot() };
  }

  now(): WallMs {
    return this.#sources.wall();
  }

  get doubt(): ClockDoubt | undefined {
    const wall = this.#sources.wall();
    const boot = this.#sources.sinceBoot();
    const doubt = this.#judge(wall, boot);
    if (doubt === undefined) {
      this.#believed = { wall, boot };
      this.#doubtedSince = undefined;
      return undefined;
    }
    this.#doubtedSince ??= wall;
    const synchronized = this.#sources.synchronizedAt();
    const vouched =
      synchronized !== undefined &&
      synchronized >= this.#doubtedSince - SYNCHRONIZATION_SLACK_MS &&
      synchronized <= wall + SYNCHRONIZATION_SLACK_MS;
    if (!vouched) return doubt;
    this.confirm();
    return undefined;
  }

  confirm(): void {
    this.#believed = { wall: this.#sources.wall(), boot: this.#sources.sinceBoot() };
    this.#doubtedSince = undefined;
    this.#confirmed = true;
  }

  noteLastRun(at: WallMs): void {
    this.#lastRunAt = at;
  }

  #judge(wall: WallMs, boot: number): ClockDoubt | undefined {
    const step = wall - (this.#believed.wall + (boot - this.#believed.boot));
    if (Math.abs(step) > TOLERATED_STEP_MS) return { doubt: "stepped", byMs: Math.round(step) };
    if (this.#confirmed) return undefined;
    if (wall < BUILD_DATE) return { doubt: "before-build", buildDate: formatTime(BUILD_DATE) };
    if (wall < this.#lastRunAt - TOLERATED_STEP_MS)
      return { doubt: "before-last-run", lastRunAt: formatTime(this.#lastRunAt) };
    return undefined;
  }
}

/** systemd-timesyncd touches this file each time that it has synchronized the clock (systemd-timesyncd.service(8)). */
const SYNCHRONIZED_FILE = "/run/systemd/timesync/synchronized";

const systemSources: ClockSources = {
  wall: () => Date.now(),
  sinceBoot: () => uptime() * 1000, // CLOCK_BOOTTIME on Linux
  synchronizedAt: () => statSync(SYNCHRONIZED_FILE, { throwIfNoEntry: false })?.mtimeMs,
};
