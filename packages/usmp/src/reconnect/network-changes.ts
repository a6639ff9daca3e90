import { networkInterfaces } from "node:os";
import { addMs, UsageError } from "@usmp/protocol";
import { Alarm } from "../alarm.ts";
import { type Clock, systemClock } from "../clock.ts";
import { Inbox } from "../inbox.ts";
import type { Wake, WakeSource } from "./api.ts";

export interface NetworkChangesOptions {
  /** How often to look, in milliseconds. Default 5,000. */
  readonly everyMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** This host's addresses; default: what the system says. Tests give their own. */
  readonly addresses?: (() => readonly string[]) | undefined;
}

const DEFAULT_EVERY_MS = 5_000;
/** Looking costs a system call or two: one look serves all links of a clock that look as the default does. */
const shared: WeakMap<Clock, Watch> = new WeakMap();

/**
 * Wakes a link when this host's addresses change: a cable, another Wi-Fi, a VPN, the return from sleep to another network. Node has no
 * event for that, so it looks now and then; while nobody listens it does not.
 */
export function networkChanges(options: NetworkChangesOptions = {}): WakeSource {
  const { everyMs = DEFAULT_EVERY_MS, clock = systemClock, addresses } = options;
  if (!(Number.isFinite(everyMs) && everyMs > 0)) {
    throw new UsageError("invalid-option", `everyMs is ${everyMs}; it must be a positive number of milliseconds`);
  }
  if (everyMs !== DEFAULT_EVERY_MS || addresses !== undefined) {
    const watch = new Watch(clock, everyMs, addresses ?? systemAddresses);
    return { [Symbol.asyncIterator]: () => watch.listen() };
  }
  return {
    [Symbol.asyncIterator]() {
      const watch = shared.get(clock) ?? new Watch(clock, everyMs, systemAddresses);
      shared.set(clock, watch);
      return watch.listen();
    },
  };
}

class Watch {
  readonly #everyMs: number;
  readonly #clock: Clock;
  readonly #addresses: () => readonly string[];
  readonly #alarm: Alarm;
  readonly #listeners: Set<Inbox<Wake>> = new Set();
  #last = "";

  constructor(clock: Clock, everyMs: number, addresses: () => readonly string[]) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#addresses = addresses;
    this.#alarm = new Alarm(clock, { onAlarm: () => this.#look() });
  }

  listen(): AsyncIterator<Wake, undefined> {
    const inbox = new Inbox<Wake>();
    if (this.#listeners.size === 0) this.#last = this.#fingerprint();
    this.#listeners.add(inbox);
    this.#arm();
    return {
      next: async () => {
        const wake = inbox.poll() ?? (await inbox.wait(undefined));
        return wake === undefined ? { done: true, value: undefined } : { done: false, value: wake };
      },
      return: () => {
        this.#listeners.delete(inbox);
        inbox.end();
        if (this.#listeners.size === 0) this.#alarm.clear();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #look(): void {
    const now = this.#fingerprint();
    if (now !== this.#last) {
      this.#last = now;
      for (const inbox of this.#listeners) if (inbox.length === 0) inbox.push({ reason: "network-changed" });
    }
    if (this.#listeners.size > 0) this.#arm();
  }

  #arm(): void {
    this.#alarm.set(addMs(this.#clock.now(), this.#everyMs));
  }

  #fingerprint(): string {
    return [...this.#addresses()].sort().join(" ");
  }
}

/** Addresses by which others may be reached. */
function systemAddresses(): string[] {
  return Object.entries(interfaces()).flatMap(([name, addresses = []]) =>
    addresses.filter(({ internal }) => !internal).map(({ address }) => `${name} ${address}`),
  );
}

function interfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch {
    // Some systems (Android, hardened containers) forbid the question: there no change is seen, and the backoff alone decides.
    return {};
  }
}
