import { describeReason, formatAddress } from "usmp";
import type { EventView } from "../control/methods.ts";
import { outboundView } from "../control/outbound-methods.ts";
import { refusalView } from "../control/views.ts";
import { formatTime } from "../records.ts";
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
      return { type, ...outboundView(event.message) };
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
