import type { GatewayEvent, GatewayEvents } from "./gateway-events.ts";

export interface EventFeedOptions {
  readonly wants?: (event: GatewayEvent) => boolean;
  /** Events that may wait for a reader that is behind; further ones are dropped and counted. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** What a reader gets: events, and in their place how many were dropped because it was behind. */
export type FeedItem = GatewayEvent | { readonly type: "dropped"; readonly count: number };

/** Follows the events at a reader's own pace, in bounded memory; ends with the signal. A slow reader costs itself events, nobody else anything. */
export async function* eventFeed(
  events: GatewayEvents,
  { wants = () => true, limit, signal }: EventFeedOptions,
): AsyncGenerator<FeedItem, void> {
  const waiting: FeedItem[] = [];
  let dropped = 0;
  let wake = (): void => {};
  const stop = events.on((event) => {
    if (!wants(event)) return;
    if (waiting.length >= limit) dropped++;
    else waiting.push(event);
    wake();
  });
  signal.addEventListener("abort", () => wake(), { once: true });
  try {
    while (!signal.aborted) {
      for (const item of waiting.splice(0)) {
        yield item;
        if (signal.aborted) return;
      }
      if (dropped > 0) {
        yield { type: "dropped", count: dropped };
        dropped = 0;
      }
      if (waiting.length > 0 || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stop();
  }
}
