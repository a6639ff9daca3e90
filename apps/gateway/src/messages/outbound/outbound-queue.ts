import { addMs, type TokenBucket } from "@usmp/protocol";
import type { Clock, Session } from "usmp";
import { GatewayError } from "../../errors.ts";
import type { GatewayEvents } from "../../events/gateway-events.ts";
import type { DeviceSessions } from "../../gateway/device-sessions.ts";
import type { GatewaySession } from "../../gateway/gateway.ts";
import { type Actor, type DeviceId, formatTime, type WallMs } from "../../records.ts";
import type { Registry, RegistryChange } from "../../registry/registry.ts";
import type { WallClock } from "../../time/wall-clock.ts";
import type { MessageSettings, OutboundRecord } from "../messages.ts";
import { Backlogs } from "./backlogs.ts";
import { Delivery, newBucket, type Pace, paceOf } from "./delivery.ts";
import type { QueueStore, RecordFilter } from "./queue-store.ts";
import { QueueWriter } from "./queue-writer.ts";
import { SendAudit } from "./send-audit.ts";
import {
  isNews,
  requireReceiver,
  requireSame,
  requireSendable,
  type SendRequest,
  unknownMessage,
} from "./send-rules.ts";

/** So long, and so many, final records are kept, so that senders can see what became of their messages. */
const KEEP_ENDED_MS = 86_400_000;
const KEEP_ENDED = 20_000;
/** Rows of one transaction where many may be concerned: devices' messages go between two. */
const ROWS_AT_ONCE = 500;

export interface OutboundQueueOptions {
  readonly store: QueueStore;
  readonly registry: Pick<Registry, "device" | "audit" | "setting" | "putSetting">;
  readonly sessions: Pick<DeviceSessions, "get">;
  readonly settings: MessageSettings;
  readonly events: GatewayEvents;
  readonly clock: Clock;
  readonly wallClock: WallClock;
}

/**
 * Messages to devices: durable before they are promised, in order by device, and each with a state that can be followed. In memory are counts
 * and what is under way; the messages themselves are on the disk until it is their turn.
 */
export class OutboundQueue {
  readonly #options: OutboundQueueOptions;
  readonly #pace: Pace;
  readonly #backlogs: Backlogs;
  readonly #writer: QueueWriter;
  readonly #audit: SendAudit;
  readonly #deliveries: Map<DeviceId, Delivery> = new Map();
  readonly #buckets: WeakMap<Session, TokenBucket> = new WeakMap();
  /** Under way to the disk, by device and key. */
  readonly #keyed: Map<string, { readonly data: Uint8Array; readonly arrived: Promise<OutboundRecord> }> = new Map();
  readonly #reloaded: Set<() => void> = new Set();
  #ended = 0;
  #nextExpiryAt = Number.POSITIVE_INFINITY;
  #clockDoubted = false;
  #stopped = false;
  #onDrained: () => void = () => {};

  private constructor(options: OutboundQueueOptions) {
    this.#options = options;
    this.#pace = paceOf(options.settings.drainPerSecond);
    this.#backlogs = new Backlogs(options.settings);
    this.#audit = new SendAudit(options.registry, options.store);
    this.#writer = new QueueWriter({
      store: options.store,
      clock: options.clock,
      onChanged: (records) => this.#onChanged(records),
      reload: (settling) => this.#reload(settling),
      onTrouble: (error) => this.#tellTrouble(error),
    });
  }

  /** Reads how much waits, and for whom; what a crash left half done waits again. Rejects with GatewayError "database". */
  static async open(options: OutboundQueueOptions): Promise<OutboundQueue> {
    const queue = new OutboundQueue(options);
    await queue.#reload([]);
    await queue.#audit.load();
    for (const device of queue.#backlogs.devices) {
      const state = options.registry.device(device)?.state;
      // A crash may have come between the end of a device and that of its messages.
      if (state === undefined || state === "revoked") queue.#cancelDevice(device);
    }
    return queue;
  }

  /** Messages that wait, sent ones included, and their bytes. */
  get depth(): { readonly messages: number; readonly bytes: number } {
    return this.#backlogs;
  }

  /**
   * Resolves when the message is durable in the queue. Rejects with GatewayError: "usage", "unknown-device", "device-state" (revoked),
   * "queue-full", "database" (then it is not queued, or it is not known: a `key` makes asking again safe).
   */
  async send(request: SendRequest, actor: Actor): Promise<OutboundRecord> {
    const { device, data, ttlMs = this.#options.settings.queueTtlMs, key } = request;
    if (this.#stopped) throw new GatewayError("database", "the gateway is stopping; nothing more is queued");
    requireReceiver(this.#options.registry.device(device), device);
    requireSendable(request, ttlMs);
    const once = key === undefined ? undefined : `${device} ${key}`;
    const same = once === undefined ? undefined : this.#keyed.get(once);
    if (same !== undefined) {
      requireSame(same.data, data, key);
      return same.arrived;
    }
    const arrived = this.#arrive({ device, data, ttlMs, by: actor.who, key }, actor);
    if (once !== undefined) {
      this.#keyed.set(once, { data, arrived });
      const forget = (): void => void this.#keyed.delete(once);
      arrived.then(forget, forget);
    }
    return arrived;
  }

  /** Takes back what has not been handed to a session. Rejects with GatewayError "unknown-message", "message-state". */
  async cancel(id: number, actor: Actor): Promise<OutboundRecord> {
    const outcome = await this.#writer.once(() => this.#options.store.cancel(id));
    if (outcome === undefined) throw unknownMessage(id, KEEP_ENDED);
    const { record, cancelled } = outcome;
    if (!cancelled) {
      const since = record.endedAt ?? record.sentAt ?? record.queuedAt;
      throw new GatewayError(
        "message-state",
        `message ${id} to ${record.device} is ${record.state} since ${formatTime(since)}; only one that is queued can be taken back`,
      );
    }
    this.#onChanged([record]);
    await this.#options.registry.audit.append("message.cancel", { device: record.device, message: id }, actor);
    return record;
  }

  /** Rejects with GatewayError "unknown-message". */
  async show(id: number): Promise<OutboundRecord> {
    const record = await this.#options.store.get(id);
    if (record === undefined) throw unknownMessage(id, KEEP_ENDED);
    return record;
  }

  /** In the order in which they were queued: those that wait, or those in a state. */
  async *list(filter: RecordFilter): AsyncGenerator<OutboundRecord, void> {
    let after = 0;
    for (;;) {
      const page = await this.#options.store.page(filter, after, ROWS_AT_ONCE);
      yield* page;
      after = page.at(-1)?.id ?? after;
      if (page.length < ROWS_AT_ONCE) return;
    }
  }

  /** The present state and each that follows, until a final one. Rejects with GatewayError "unknown-message". */
  async *follow(id: number, signal: AbortSignal): AsyncGenerator<OutboundRecord, void> {
    const news: (OutboundRecord | undefined)[] = [];
    let wake = (): void => {};
    const tell = (record: OutboundRecord | undefined): void => {
      news.push(record);
      wake();
    };
    const stopEvents = this.#options.events.on((event) => {
      if (event.type === "outbound" && event.message.id === id) tell(event.message);
    });
    // What happened while the database was away is known from the database alone.
    const onReload = (): void => tell(undefined);
    this.#reloaded.add(onReload);
    signal.addEventListener("abort", onReload, { once: true });
    try {
      let last = await this.show(id);
      yield last;
      while (last.endedAt === undefined && !signal.aborted) {
        if (news.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        if (signal.aborted) return;
        const told = news.shift();
        const next = told ?? (await this.show(id));
        if (!isNews(last, next)) continue;
        last = next;
        yield last;
      }
    } finally {
      stopEvents();
      this.#reloaded.delete(onReload);
      signal.removeEventListener("abort", onReload);
    }
  }

  /** A device has a new session. */
  onSession({ session }: GatewaySession): void {
    const { deviceId } = session;
    if (this.#backlogs.of(deviceId) === 0 || this.#stopped) return;
    if (!this.#deliveries.has(deviceId)) this.#deliver(deviceId);
    // The one before has the queue until it ends, which it does as soon as this one has proven itself.
    else session.ping().catch(() => {});
  }

  onChange(change: RegistryChange): void {
    if ((change.type === "revoked" || change.type === "deleted") && this.#backlogs.of(change.id) > 0)
      this.#cancelDevice(change.id);
  }

  /** Call it every second or so: what is over expires, final records go, the audit is written. Never rejects. */
  async keepHouse(): Promise<void> {
    if (this.#writer.trouble || this.#stopped) return;
    try {
      await this.#audit.flush(this.#options.clock.now());
      if (this.#options.wallClock.doubt === undefined) await this.#expire();
      await this.#prune();
    } catch {
      // Told by the writer; the next time does it.
    }
  }

  /** The database may have been changed by another process. */
  distrust(): void {
    this.#writer.distrust();
  }

  /** Hands nothing more over; resolves when what was handed over has its fate, or after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopped = true;
    for (const delivery of [...this.#deliveries.values()]) delivery.stop();
    if (this.#deliveries.size === 0) return;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const cancel = clock.schedule(addMs(clock.now(), patienceMs), resolve);
      this.#onDrained = () => {
        cancel();
        resolve();
      };
    });
  }

  /** After the sessions' end: writes what is known. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#writer.close();
    await this.#audit.flush(Number.POSITIVE_INFINITY).catch(() => {});
  }

  async #arrive(
    message: Parameters<QueueWriter["arrive"]>[0] & { readonly key: string | undefined },
    actor: Actor,
  ): Promise<OutboundRecord> {
    const { device, data, key } = message;
    if (key !== undefined) {
      const known = await this.#options.store.findKey(device, key);
      if (known !== undefined) {
        requireSame(known.data, data, key);
        return known.record;
      }
    }
    this.#backlogs.reserve(device, data.length);
    try {
      // The caller may use its buffer again.
      const record = await this.#writer.arrive({ ...message, data: Uint8Array.from(data) });
      this.#audit.note(record, actor);
      return record;
    } finally {
      this.#backlogs.release(device, data.length);
    }
  }

  #onChanged(records: readonly OutboundRecord[]): void {
    const arrivedAt = new Set<DeviceId>();
    for (const record of records) {
      if (record.endedAt !== undefined) {
        this.#backlogs.noteEnded(record);
        this.#ended++;
      } else if (record.state === "queued") {
        if (record.attempts === 0) this.#noteArrived(record, arrivedAt);
        this.#nextExpiryAt = Math.min(this.#nextExpiryAt, record.expiresAt);
      }
      this.#options.events.emit({ type: "outbound", message: record });
    }
    for (const device of arrivedAt) this.#wake(device);
  }

  #noteArrived(record: OutboundRecord, arrivedAt: Set<DeviceId>): void {
    this.#backlogs.noteArrived(record);
    arrivedAt.add(record.device);
    if (this.#options.wallClock.doubt !== undefined) this.#clockDoubted = true;
  }

  #wake(device: DeviceId): void {
    const delivery = this.#deliveries.get(device);
    if (delivery === undefined) this.#deliver(device);
    else delivery.wake();
  }

  /** Begins to hand over what waits for a device, if it has a session. */
  #deliver(device: DeviceId): void {
    const session = this.#options.sessions.get(device)?.session;
    if (session === undefined || !session.open || this.#stopped || this.#backlogs.of(device) === 0) return;
    const { clock } = this.#options;
    let bucket = this.#buckets.get(session);
    if (bucket === undefined) {
      bucket = newBucket(this.#pace, clock);
      this.#buckets.set(session, bucket);
    }
    const delivery = new Delivery({
      session,
      pace: this.#pace,
      bucket,
      clock,
      waiting: () => this.#backlogs.of(device),
      take: (after, limit) => this.#writer.take({ device, after, limit }),
      settle: (id, fate) => this.#writer.settle(id, fate),
      onOver: () => {
        this.#deliveries.delete(device);
        if (this.#deliveries.size === 0) this.#onDrained();
        this.#deliver(device);
      },
    });
    this.#deliveries.set(device, delivery);
  }

  #cancelDevice(device: DeviceId): void {
    void this.#writer.surely(async () => {
      const ended = await this.#options.store.cancelDevice(device, ROWS_AT_ONCE);
      this.#onChanged(ended);
      if (ended.length === ROWS_AT_ONCE) this.#cancelDevice(device);
    });
  }

  async #expire(): Promise<void> {
    const { store, wallClock } = this.#options;
    if (this.#clockDoubted) {
      await this.#writer.once(() => store.trustClock());
      this.#clockDoubted = false;
      this.#nextExpiryAt = (await store.nextExpiryAt()) ?? Number.POSITIVE_INFINITY;
    }
    while (this.#nextExpiryAt <= wallClock.now() && wallClock.doubt === undefined) {
      const expired = await this.#writer.once(async () => {
        const records = await store.expire(ROWS_AT_ONCE);
        this.#onChanged(records);
        return records.length;
      });
      if (expired === ROWS_AT_ONCE) continue;
      const next = (await store.nextExpiryAt()) ?? Number.POSITIVE_INFINITY;
      // One that is under way does not expire: it is looked at again the next time.
      this.#nextExpiryAt = Math.max(next, wallClock.now() + 1);
    }
  }

  async #prune(): Promise<void> {
    const { store, wallClock } = this.#options;
    const before = (): WallMs | undefined =>
      wallClock.doubt === undefined ? wallClock.now() - KEEP_ENDED_MS : undefined;
    for (;;) {
      if (this.#ended === 0) return;
      const gone = await this.#writer.once(() => store.prune(before(), this.#ended - KEEP_ENDED, ROWS_AT_ONCE));
      this.#ended -= gone;
      if (gone < ROWS_AT_ONCE) return;
    }
  }

  async #reload(settling: readonly number[]): Promise<void> {
    const underWay = [...this.#deliveries.values()].flatMap((delivery) => [...delivery.underWay]);
    const { backlogs, ended, nextExpiryAt, clockDoubted } = await this.#options.store.load([...underWay, ...settling]);
    this.#backlogs.load(backlogs);
    this.#ended = ended;
    this.#nextExpiryAt = nextExpiryAt ?? Number.POSITIVE_INFINITY;
    this.#clockDoubted = clockDoubted;
    for (const tell of this.#reloaded) tell();
    for (const { device } of backlogs) this.#wake(device);
  }

  #tellTrouble(error: unknown): void {
    const { events, wallClock } = this.#options;
    const message =
      error === undefined
        ? "the database of messages works again; what waits for devices is sent"
        : `messages to devices wait, and new ones are refused: ${error instanceof Error ? error.message : String(error)}`;
    events.emit({ type: "notice", time: wallClock.now(), topic: "outbound", message });
  }
}
