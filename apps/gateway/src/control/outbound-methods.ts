import { GatewayError } from "../errors.ts";
import type { OutboundRecord, OutboundState } from "../messages/messages.ts";
import { formatTime, type WallMs } from "../records.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import type { OutboundView } from "./methods.ts";
import { idOf } from "./params.ts";

const STATES: readonly OutboundState[] = ["queued", "sent", "confirmed", "expired", "cancelled"];
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Messages to devices. */
export function outboundMethods({ outbound }: ControlContext): MethodHandlers {
  return {
    "message.send": async ({ id, data, ttlMs, key }, actor) => {
      const request = {
        device: idOf(id),
        data: bytesOf(data),
        ttlMs: numberOf(ttlMs, "ttlMs"),
        key: textOf(key, "key"),
      };
      return outboundView(await outbound.send(request, actor));
    },
    "message.queue": ({ id, state }) =>
      views(outbound.list({ device: id === undefined ? undefined : idOf(id), state: stateOf(state) })),
    "message.show": async ({ message }) => outboundView(await outbound.show(messageOf(message))),
    "message.follow": ({ message }, _, signal) => views(outbound.follow(messageOf(message), signal)),
    "message.cancel": async ({ message }, actor) => outboundView(await outbound.cancel(messageOf(message), actor)),
  };
}

export function outboundView(record: OutboundRecord): OutboundView {
  const { id, device, state, queuedAt, expiresAt, sentAt, endedAt, attempts, maybeTwice, bytes, by } = record;
  return {
    message: id,
    device,
    state,
    queuedAt: formatTime(queuedAt),
    expiresAt: formatTime(expiresAt),
    sentAt: timeOf(sentAt),
    endedAt: timeOf(endedAt),
    attempts,
    maybeTwice,
    bytes,
    by,
  };
}

async function* views(records: AsyncIterable<OutboundRecord>): AsyncGenerator<OutboundView> {
  for await (const record of records) yield outboundView(record);
}

function timeOf(time: WallMs | undefined): string | null {
  return time === undefined ? null : formatTime(time);
}

function bytesOf(data: unknown): Uint8Array {
  if (typeof data === "string" && BASE64.test(data)) return new Uint8Array(Buffer.from(data, "base64"));
  throw new GatewayError("usage", "the data of a message is given in base64 (RFC 4648 section 4, padded)");
}

function numberOf(value: unknown, field: string): number | undefined {
  if (value === undefined || typeof value === "number") return value;
  throw new GatewayError("usage", `${field} is a number`);
}

function textOf(value: unknown, field: string): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw new GatewayError("usage", `${field} is a text`);
}

function stateOf(value: unknown): OutboundState | undefined {
  const state = STATES.find((known) => known === value);
  if (value === undefined || state !== undefined) return state;
  throw new GatewayError("usage", `a message's state is one of ${STATES.join(", ")}`);
}

function messageOf(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw new GatewayError("usage", "a message is named by its number, which sending answered with");
}
