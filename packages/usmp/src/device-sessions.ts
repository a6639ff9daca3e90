interface Entry<S> {
  readonly session: S;
  proven: boolean;
}

/**
 * Whose sessions a server holds. A device has one that has proven itself, and a few that have not yet; a newer one replaces an older
 * one once it has proven itself, and never before: a relayed HELLO gets as far as SESSION_OK without any key (spec section 3).
 */
export class DeviceSessions<S extends { readonly deviceId: string }> {
  readonly #maxUnproven: number;
  /** In the order in which they were established. */
  readonly #byDevice: Map<string, Entry<S>[]> = new Map();

  constructor(maxUnproven: number) {
    this.#maxUnproven = maxUnproven;
  }

  count(deviceId: string): number {
    return this.#byDevice.get(deviceId)?.length ?? 0;
  }

  /** Adds a session that was just established. Answers the one that has to give way: the oldest of too many unproven ones. */
  add(session: S): S | undefined {
    const entries = this.#byDevice.get(session.deviceId);
    if (entries === undefined) {
      this.#byDevice.set(session.deviceId, [{ session, proven: false }]);
      return undefined;
    }
    entries.push({ session, proven: false });
    const unproven = entries.filter(({ proven }) => !proven);
    return unproven.length > this.#maxUnproven ? unproven[0]?.session : undefined;
  }

  /**
   * The session has proven itself. Answers those that it replaces: all that were established before it. When one that was established
   * after it has proven itself already, it is the older one, whose first frame came late or was held back, and it has to go itself.
   */
  prove(session: S): readonly S[] {
    const entries = this.#byDevice.get(session.deviceId) ?? [];
    const index = entries.findIndex((entry) => entry.session === session);
    const entry = entries[index];
    if (entry === undefined) return [];
    if (entries.slice(index + 1).some(({ proven }) => proven)) return [session];
    entry.proven = true;
    return entries.slice(0, index).map((older) => older.session);
  }

  isProven(session: S): boolean {
    return this.#byDevice.get(session.deviceId)?.some((entry) => entry.session === session && entry.proven) ?? false;
  }

  /** The session has ended. */
  remove(session: S): void {
    const left = this.#byDevice.get(session.deviceId)?.filter((entry) => entry.session !== session) ?? [];
    if (left.length === 0) this.#byDevice.delete(session.deviceId);
    else this.#byDevice.set(session.deviceId, left);
  }
}
