import { GatewayError } from "../errors.ts";
import type { LogItem } from "../messages/inbound/message-log.ts";
import { formatTime, type WallMs } from "../records.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import type { MessageView } from "./methods.ts";
import { idOf } from "./params.ts";

/** Messages of both directions, as they were and as they come. */
export function logMethods({ inbound }: ControlContext): MethodHandlers {
  return {
    "message.log": ({ id, since, after, limit, follow }, _, signal) =>
      views(
        inbound.log.read({
          device: id === undefined ? undefined : idOf(id),
          since: timeOf(since),
          after: countOf(after, "after", 0),
          limit: countOf(limit, "limit", 1),
          follow: follow === true,
          signal,
        }),
      ),
  };
}

async function* views(items: AsyncIterable<LogItem>): AsyncGenerator<MessageView | { dropped: number }> {
  for await (const item of items) yield "dropped" in item ? { dropped: item.dropped } : viewOf(item);
}

function viewOf({
  id,
  device,
  direction,
  time,
  session,
  sequence,
  data,
  state,
}: Exclude<LogItem, { dropped: number }>): MessageView {
  const text = textOf(data);
  return {
    id,
    device,
    direction,
    time: formatTime(time),
    session: session ?? null,
    sequence: sequence ?? null,
    data: Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64"),
    ...(text === undefined ? {} : { text }),
    ...(state === undefined ? {} : { state }),
  };
}

function textOf(data: Uint8Array): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function timeOf(given: unknown): WallMs | undefined {
  if (given === undefined) return undefined;
  const time = typeof given === "string" ? Date.parse(given) : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new GatewayError("usage", `since ${JSON.stringify(given)}: a time as RFC 3339 writes it, 2026-11-24T12:00:00Z`);
}

function countOf(given: unknown, field: string, least: number): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= least) return given;
  throw new GatewayError("usage", `${field} ${JSON.stringify(given)}: a whole number, at least ${least}`);
}
