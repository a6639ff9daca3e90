import { eventFeed, type FeedItem } from "../../events/event-feed.ts";
import type { GatewayEvents } from "../../events/gateway-events.ts";
import type { DeviceId, WallMs } from "../../records.ts";
import type { MessageSeal } from "../message-seal.ts";
import type { OutboundState } from "../messages.ts";
import type { MessageStorage } from "../storage.ts";
import { type LoggedMessage, LogPages } from "./log-pages.ts";

/** Live messages that may wait for a reader that is behind; further ones are dropped, and it is told how many. */
const MOST_LIVE = 2_000;
/** Messages that were read from the store are told as events a moment later, at most so many. */
const MOST_OVERLAPPING = 16_384;

export interface LogRequest {
  readonly device: DeviceId | undefined;
  /** Not older than this. */
  readonly since: WallMs | undefined;
  /** Behind this id. */
  readonly after: number | undefined;
  /** At most so many stored ones: the first of `since` or `after`, and without these two the newest. */
  readonly limit: number | undefined;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

export type LogItem = LoggedMessage | { readonly dropped: number };

/** Reads stored messages of both directions, the oldest first, and goes on with those to come. */
export class MessageLog {
  readonly #pages: LogPages;
  readonly #events: GatewayEvents;

  constructor(
    storage: MessageStorage,
    seals: { readonly in: MessageSeal; readonly out: MessageSeal },
    events: GatewayEvents,
  ) {
    this.#pages = new LogPages(storage, seals);
    this.#events = events;
  }

  /**
   * From the store, and then live: each message once, none left out, unless the reader is behind by more than 2,000 live ones. A message to a
   * device comes again with each of its states. Rejects with GatewayError "database", "damaged".
   */
  async *read(request: LogRequest): AsyncGenerator<LogItem, void> {
    const { device, since, signal } = request;
    const told = new Told();
    let cursor = await this.#begin(request);
    let left = request.limit ?? Number.POSITIVE_INFINITY;
    const stored = async function* (this: MessageLog): AsyncGenerator<LoggedMessage> {
      while (left > 0 && !signal.aborted) {
        const page = await this.#pages.after(cursor, device);
        for (const message of page.messages) {
          cursor = message.id;
          if (since !== undefined && message.time < since) continue;
          told.note(message);
          yield message;
          if (--left <= 0) return;
        }
        if (page.last) return;
      }
    }.bind(this);
    yield* stored();
    if (!request.follow || signal.aborted) return;
    const feed = eventFeed(this.#events, {
      limit: MOST_LIVE,
      signal,
      wants: ({ type }) => type === "message" || type === "outbound",
    });
    // It listens from its first call on; what was stored until then is read first.
    let next = feed.next();
    left = Number.POSITIVE_INFINITY;
    yield* stored();
    for (let item = await next; item.done !== true; item = await next) {
      next = feed.next();
      const live = await this.#live(item.value, device);
      if (live !== undefined && ("dropped" in live || told.isNew(live))) yield live;
    }
  }

  async #begin({ device, since, after, limit }: LogRequest): Promise<number> {
    if (since !== undefined) return Math.max(after ?? 0, await this.#pages.before(since));
    if (after !== undefined || limit === undefined) return after ?? 0;
    return this.#pages.beforeNewest(limit, device);
  }

  async #live(item: FeedItem, device: DeviceId | undefined): Promise<LogItem | undefined> {
    if (item.type === "dropped") return { dropped: item.count };
    if (item.type !== "message" && item.type !== "outbound") return undefined;
    const { message } = item;
    if (device !== undefined && message.device !== device) return undefined;
    if (item.type === "outbound") return this.#pages.outbound(item.message);
    const { id, session, sequence, time, data } = item.message;
    return { id, device: message.device, direction: "in", time, session, sequence, data, state: undefined };
  }
}

/** How far a message to a device has come. */
const PROGRESS: Readonly<Record<OutboundState, number>> = {
  queued: 1,
  sent: 2,
  confirmed: 3,
  expired: 3,
  cancelled: 3,
};

/** What was read from the store last: its events may still be on their way. */
class Told {
  readonly #progress: Map<number, number> = new Map();

  note({ id, state }: LoggedMessage): void {
    this.#progress.set(id, state === undefined ? 0 : PROGRESS[state]);
    if (this.#progress.size <= MOST_OVERLAPPING) return;
    for (const oldest of this.#progress.keys()) {
      this.#progress.delete(oldest);
      return;
    }
  }

  isNew({ id, state }: LoggedMessage): boolean {
    const told = this.#progress.get(id);
    if (told === undefined || (state !== undefined && PROGRESS[state] > told)) {
      if (told !== undefined) this.#progress.delete(id);
      return true;
    }
    if (state === undefined) this.#progress.delete(id);
    return false;
  }
}
