import { z } from "zod";
import type { MessageView, OutboundView, SessionView, TokenRole } from "../../control/methods.ts";
import type { GatewayEventType } from "../../events/gateway-events.ts";
import { HttpProblem, quoted } from "../problem.ts";
import type { ParamsOf, RoutesOf } from "./route.ts";
import { count, deviceId, exactly, moment, nothing, TEN_YEARS_MS, text, transport } from "./shared.ts";

/** 1,808 bytes of a message, in base64. */
const LONGEST_DATA = 2_412;
const logMessages = exactly<ParamsOf<"message.log">>()(
  z.strictObject({
    id: deviceId.exactOptional(),
    since: moment().max(40).exactOptional(),
    after: count().exactOptional(),
    limit: z.int().min(1).max(10_000).exactOptional(),
    follow: z.boolean().exactOptional(),
  }),
);
const sendMessage = exactly<ParamsOf<"message.send">>()(
  z.strictObject({
    id: deviceId,
    data: z.base64().max(LONGEST_DATA),
    ttlMs: z.int().min(1_000).max(TEN_YEARS_MS).exactOptional(),
    key: z
      .string()
      .regex(/^[\x21-\x7e]{1,128}$/)
      .exactOptional(),
  }),
);
const outboundState = z.enum(["queued", "sent", "confirmed", "expired", "cancelled"]);
const listQueue = exactly<ParamsOf<"message.queue">>()(
  z.strictObject({
    id: deviceId.exactOptional(),
    state: outboundState.exactOptional(),
  }),
);
const oneMessage = exactly<ParamsOf<"message.show">>()(z.strictObject({ message: z.int().min(1) }));
const followEvents = exactly<ParamsOf<"events">>()(
  z.strictObject({
    types: z.array(text()).max(32).exactOptional(),
    id: deviceId.exactOptional(),
  }),
);
const message = exactly<MessageView>()(
  z
    .object({
      id: z.int(),
      device: deviceId,
      direction: z.enum(["in", "out"]),
      time: moment(),
      session: z.string().nullable(),
      sequence: z.int().nullable(),
      data: z.string().meta({ description: "base64." }),
      text: z.string().exactOptional(),
      state: outboundState.exactOptional(),
    })
    .meta({ id: "Message" }),
);
const dropped = z
  .object({ dropped: count() })
  .meta({ id: "Dropped", description: "So many were left out here, because the reader was behind." });
const outbound = exactly<OutboundView>()(
  z
    .object({
      message: z.int(),
      device: deviceId,
      state: outboundState,
      queuedAt: moment(),
      expiresAt: moment(),
      sentAt: moment().nullable(),
      endedAt: moment().nullable(),
      attempts: count(),
      maybeTwice: z.boolean(),
      bytes: count(),
      by: z.string(),
    })
    .meta({ id: "Outbound" }),
);
const session = exactly<SessionView>()(
  z
    .object({
      device: deviceId,
      name: z.string().nullable(),
      session: z.string(),
      transport,
      peer: z.string(),
      generation: z.int(),
      since: moment(),
      lastSeenAt: moment(),
      messagesIn: count(),
      messagesOut: count(),
      bytesIn: count(),
      bytesOut: count(),
      rate: z.number(),
      roundTripMs: z.number().nullable(),
      loss: z.number().nullable(),
    })
    .meta({ id: "Session" }),
);
const event = z.looseObject({ type: z.string() }).meta({ id: "Event" });

const LAST_ID = { param: "after", next: (item: { id?: number }) => item.id, limited: true } as const;

export const MESSAGE_ROUTES: RoutesOf<
  | "message.log"
  | "message.send"
  | "message.queue"
  | "message.show"
  | "message.follow"
  | "message.cancel"
  | "session.list"
  | "events"
> = {
  "message.log": {
    verb: "GET",
    path: "/v1/messages",
    role: "operator",
    summary: "Stored messages, the oldest first; with follow=true those to come as well",
    params: logMessages,
    item: message.or(dropped),
    paging: LAST_ID,
    live: "follow",
  },
  "message.send": {
    verb: "POST",
    path: "/v1/devices/{id}/messages",
    role: "operator",
    summary: "Send a message: the answer comes when it is durable in the queue",
    params: sendMessage,
    result: outbound,
  },
  "message.queue": {
    verb: "GET",
    path: "/v1/queue",
    role: "operator",
    summary: "Messages to devices and what became of them",
    params: listQueue,
    item: outbound,
    paging: "place",
  },
  "message.show": {
    verb: "GET",
    path: "/v1/queue/{message}",
    role: "operator",
    summary: "One message to a device",
    params: oneMessage,
    result: outbound,
  },
  "message.follow": {
    verb: "GET",
    path: "/v1/queue/{message}/states",
    role: "operator",
    summary: "Each state of a message from now on, until it is final",
    params: oneMessage,
    item: outbound,
    live: "always",
  },
  "message.cancel": {
    verb: "POST",
    path: "/v1/queue/{message}/cancel",
    role: "operator",
    summary: "Take back a message that is still queued",
    params: oneMessage,
    result: outbound,
  },
  "session.list": {
    verb: "GET",
    path: "/v1/sessions",
    role: "viewer",
    summary: "Live sessions with their rates",
    params: nothing,
    item: session,
    paging: "place",
  },
  events: {
    verb: "GET",
    path: "/v1/events",
    role: "viewer",
    summary: "What happens from now on; messages among it for operators and admins",
    params: followEvents,
    item: event,
    live: "always",
    narrow: withoutMessages,
  },
};

/** What a viewer, who reads no messages, may follow. */
const VIEWER_EVENTS: readonly GatewayEventType[] = [
  "session",
  "session-ended",
  "moved",
  "refused",
  "registry",
  "notice",
];

function withoutMessages(params: ParamsOf<"events">, role: TokenRole): ParamsOf<"events"> {
  if (role !== "viewer") return params;
  const { types = VIEWER_EVENTS } = params;
  const denied = types.find((type) => !VIEWER_EVENTS.some((each) => each === type));
  if (denied === undefined) return { ...params, types };
  throw new HttpProblem(403, "forbidden", `events of type ${quoted(denied)} need a token of role operator`);
}
