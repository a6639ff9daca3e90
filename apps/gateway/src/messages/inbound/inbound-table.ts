import type { MessageSeal } from "../message-seal.ts";
import type { InboundMessage } from "../messages.ts";
import type { Value, WideTable } from "../storage.ts";

export const INBOUND_TABLE: WideTable = {
  name: "messages_in",
  repeatable: true,
  columns: {
    id: "integer",
    device: "text",
    session: "text",
    sequence: "integer",
    time: "integer",
    transport: "text",
    bytes: "integer",
    sealed_by: "text",
    data: "blob",
  },
};

export function toValues(message: InboundMessage, seal: MessageSeal): readonly Value[] {
  const { id, device, session, sequence, time, transport, data } = message;
  const kept = seal.seal(id, device, data);
  return [id, device, session, sequence, time, transport, data.length, kept.sealed_by, kept.data];
}
