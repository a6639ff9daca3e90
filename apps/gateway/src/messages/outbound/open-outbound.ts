import type { Clock } from "usmp";
import type { GatewayEvents } from "../../events/gateway-events.ts";
import type { DeviceSessions } from "../../gateway/device-sessions.ts";
import type { OpenedRegistry } from "../../registry/open-registry.ts";
import { MessageSeal } from "../message-seal.ts";
import { DEFAULT_MESSAGE_SETTINGS, type MessageSettings } from "../messages.ts";
import type { MessageStorage } from "../storage.ts";
import { OutboundQueue } from "./outbound-queue.ts";
import { SqlQueueStore } from "./sql-queue-store.ts";

export interface OutboundOptions {
  readonly opened: OpenedRegistry;
  readonly storage: MessageStorage;
  readonly sessions: DeviceSessions;
  readonly settings: Partial<MessageSettings> | undefined;
  readonly events: GatewayEvents;
  readonly clock: Clock;
}

/** The queue of a gateway, on its database of messages. Rejects with GatewayError. */
export async function openOutbound({
  opened,
  storage,
  sessions,
  settings,
  events,
  clock,
}: OutboundOptions): Promise<OutboundQueue> {
  const { registry, wallClock } = opened;
  const complete = { ...DEFAULT_MESSAGE_SETTINGS, ...settings };
  const queue = await OutboundQueue.open({
    store: new SqlQueueStore(storage, new MessageSeal(opened.messageKeys, "out", complete.sealed), wallClock),
    registry,
    sessions,
    settings: complete,
    events,
    clock,
    wallClock,
  });
  storage.onOwnedAnew(() => queue.distrust());
  return queue;
}
