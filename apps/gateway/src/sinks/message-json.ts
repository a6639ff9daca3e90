import type { InboundMessage } from "../messages/messages.ts";
import { formatTime } from "../records.ts";

/** Controls, formats, separators, surrogates: what a terminal or a page could take for more than text. */
const UNPRINTABLE = /[\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{C}/u;

/** A message as sinks write it: the fields of `usmp logs --json`. `text` where the data is UTF-8 without control characters. */
export function messageObject(message: InboundMessage): Readonly<Record<string, unknown>> {
  const { id, device, session, sequence, time, transport, data } = message;
  const text = textOf(data);
  return {
    id,
    device,
    direction: "in",
    time: formatTime(time),
    session,
    sequence,
    transport,
    data: Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64"),
    ...(text === undefined ? {} : { text }),
  };
}

function textOf(data: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    return UNPRINTABLE.test(text.replaceAll(/[\t\n\r]/g, "")) ? undefined : text;
  } catch {
    return undefined;
  }
}
