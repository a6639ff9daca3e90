import type { DeviceId, SeenDevice, WallMs } from "../records.ts";

const MOST = 256;
const PER_SOURCE = 4;
const KEEP_MS = 24 * 3_600_000;

/**
 * Ids that nobody enrolled and that completed HELLO and HELLO_ACK (and, on UDP, the cookie): claimed, not proven. Bounded: 256 in all, 4 of
 * a source, for 24 hours; the one that was silent longest gives way.
 */
export class SeenDevices {
  /** In the order in which they were last seen. */
  readonly #seen: Map<string, SeenDevice> = new Map();

  add(device: Pick<SeenDevice, "id" | "transport" | "source">, at: WallMs): void {
    const key = `${device.id} ${device.source}`;
    const before = this.#seen.get(key);
    this.#seen.delete(key);
    this.#makeRoom(device.source);
    this.#seen.set(key, {
      ...device,
      firstSeenAt: before?.firstSeenAt ?? at,
      lastSeenAt: at,
      attempts: (before?.attempts ?? 0) + 1,
    });
  }

  load(devices: readonly SeenDevice[]): void {
    for (const device of [...devices].sort((a, b) => a.lastSeenAt - b.lastSeenAt)) {
      this.#makeRoom(device.source);
      this.#seen.set(`${device.id} ${device.source}`, device);
    }
  }

  /** It was enrolled. */
  remove(id: DeviceId): void {
    for (const [key, device] of this.#seen) if (device.id === id) this.#seen.delete(key);
  }

  /** Only with a clock that is believed: nothing ends on any other. */
  forgetOld(now: WallMs): void {
    for (const [key, { lastSeenAt }] of this.#seen) if (now - lastSeenAt > KEEP_MS) this.#seen.delete(key);
  }

  /** The one seen last comes first. */
  list(): readonly SeenDevice[] {
    return [...this.#seen.values()].reverse();
  }

  #makeRoom(source: string): void {
    let ofSource = 0;
    let oldestOfSource: string | undefined;
    for (const [key, device] of this.#seen) {
      if (device.source !== source) continue;
      ofSource++;
      oldestOfSource ??= key;
    }
    if (ofSource >= PER_SOURCE) this.#seen.delete(oldestOfSource as string);
    else if (this.#seen.size >= MOST) this.#seen.delete(this.#seen.keys().next().value as string);
  }
}
