import type { InboundMessage } from "../../src/messages/messages.ts";
import { BEGIN } from "../support/registries.ts";

export const DEVICE = "02:00:00:00:00:01";

/** A message of a device as sinks get it. */
export function inbound(id: number, data: Uint8Array | string = `reading ${id}`, device = DEVICE): InboundMessage {
  return {
    id,
    device,
    session: "ab".repeat(16),
    sequence: id,
    time: BEGIN + id,
    transport: "udp",
    data: typeof data === "string" ? Buffer.from(data) : data,
  };
}
