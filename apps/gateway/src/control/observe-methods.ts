import { GatewayError } from "../errors.ts";
import { eventFeed, type FeedItem } from "../events/event-feed.ts";
import { eventView } from "../events/event-view.ts";
import type { GatewayEvent, GatewayEventType } from "../events/gateway-events.ts";
import type { GatewaySession } from "../gateway/gateway.ts";
import { nearestName } from "../sinks/nearest-name.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import { paced } from "./device-methods.ts";
import type { EventView } from "./methods.ts";
import { idOf } from "./params.ts";
import { sessionView } from "./session-view.ts";

/** Events that may wait for somebody who reads slowly. */
const EVENTS_WAITING = 1_000;

const EVENT_TYPES: { readonly [Type in GatewayEventType]: true } = {
  session: true,
  "session-ended": true,
  moved: true,
  message: true,
  outbound: true,
  refused: true,
  registry: true,
  notice: true,
};

/** What goes on now. */
export function observeMethods({ events, observed, sessions, opened }: ControlContext): MethodHandlers {
  const view = (live: GatewaySession) =>
    live.session.open
      ? sessionView(live, opened.registry.device(live.session.deviceId)?.name, observed.sampler.pace(live))
      : undefined;
  return {
    "session.list": async function* () {
      await observed.sampler.look();
      yield* paced([...sessions.all()], view);
    },
    events: ({ types, id }, _, signal) => {
      const wanted = typesOf(types);
      const device = id === undefined ? undefined : idOf(id);
      const wants = (event: GatewayEvent): boolean =>
        wanted.has(event.type) && (device === undefined || deviceOf(event) === device);
      return viewsOf(eventFeed(events, { wants, limit: EVENTS_WAITING, signal }));
    },
    "gateway.health": () => observed.health({ details: true }),
  };
}

async function* viewsOf(items: AsyncIterable<FeedItem>): AsyncGenerator<EventView> {
  for await (const item of items) yield eventView(item);
}

function typesOf(given: unknown): ReadonlySet<GatewayEventType> {
  const all = Object.keys(EVENT_TYPES) as GatewayEventType[];
  if (given === undefined) return new Set(all);
  if (!Array.isArray(given)) throw new GatewayError("usage", `the types of events are a list of ${all.join(", ")}`);
  for (const type of given as unknown[]) {
    if (typeof type === "string" && Object.hasOwn(EVENT_TYPES, type)) continue;
    const nearest = typeof type === "string" ? nearestName(type, all) : undefined;
    const meant = nearest === undefined ? `there are ${all.join(", ")}` : `did you mean ${nearest}?`;
    throw new GatewayError("usage", `there are no events of the type ${JSON.stringify(type)}; ${meant}`);
  }
  return new Set(given as GatewayEventType[]);
}

/** Undefined of those that are about none. A refused attempt only claims its device. */
function deviceOf(event: GatewayEvent): string | undefined {
  switch (event.type) {
    case "session":
    case "session-ended":
    case "moved":
      return event.device;
    case "message":
    case "outbound":
      return event.message.device;
    case "refused":
      return event.record.claimedId;
    case "registry":
      return event.change.id;
    case "notice":
      return undefined;
  }
}
