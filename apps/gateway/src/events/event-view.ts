import { describeReason, formatAddress } from "usmp";
import type { EventView } from "../control/methods.ts";
import { refusalView } from "../control/views.ts";
import type { OutboundRecord } from "../messages/messages.ts";
import { formatTime, type WallMs } from "../records.ts";
import { messageObject } from "../sinks/message-json.ts";
import type { FeedItem } from "./event-feed.ts";
import type { GatewayEvent, SessionFacts } from "./gateway-events.ts";

const views = new WeakMap<FeedItem, EventView>();

/** An event as JSON shows it: one object for all of its viewers, of whom there may be a thousand. */
export function eventView(item: FeedItem): EventView {
  const known = views.get(item);
  if (known !== undefined) return known;
  const view = item.type === "dropped" ? { ...item } : viewOf(item);
  views.set(item, view);
  return view;
}

function viewOf(event: GatewayEvent): EventView {
  const { type } = event;
  switch (event.type) {
    case "session":
      return { type, time: formatTime(event.time), ...factsView(event) };
    case "session-ended": {
      const { code } = event.reason;
      return {
        type,
        time: formatTime(event.time),
        ...factsView(event),
        reason: code,
        description: describeReason(event.reason),
      };
    }
    case "moved": {
      const { from, to, proven } = event.move;
      const ends = { from: formatAddress(from), to: formatAddress(to) };
      return { type, time: formatTime(event.time), ...factsView(event), ...ends, proven };
    }
    case "message":
      return { type, ...messageObject(event.message) };
    case "outbound":
      return { type, ...outboundFields(event.message) };
    case "refused":
      return { type, ...refusalView(event.record) };
    case "registry": {
      const { change } = event;
      const ended =
        change.type === "generation-ended" ? { generation: change.generation, because: change.because } : {};
      return { type, time: formatTime(event.time), change: change.type, device: change.id, ...ended };
    }
    case "notice":
      return { type, time: formatTime(event.time), topic: event.topic, message: event.message };
  }
}

function factsView({ device, session, generation, peer }: SessionFacts) {
  return { device, session, generation, transport: peer.transport, peer: formatAddress(peer) };
}

function outboundFields({ id, device, state, queuedAt, expiresAt, sentAt, endedAt, ...rest }: OutboundRecord) {
  const timeOf = (time: WallMs | undefined): string | null => (time === undefined ? null : formatTime(time));
  return {
    message: id,
    device,
    state,
    queuedAt: formatTime(queuedAt),
    expiresAt: formatTime(expiresAt),
    sentAt: timeOf(sentAt),
    endedAt: timeOf(endedAt),
    attempts: rest.attempts,
    maybeTwice: rest.maybeTwice,
    bytes: rest.bytes,
    by: rest.by,
  };
}
