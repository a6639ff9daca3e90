import type { Clock } from "usmp";
import type { GatewayEvents } from "../../events/gateway-events.ts";
import type { OpenedRegistry } from "../../registry/open-registry.ts";
import { MessageSeal } from "../message-seal.ts";
import { DEFAULT_MESSAGE_SETTINGS, type MessageSettings } from "../messages.ts";
import type { MessageStorage } from "../storage.ts";
import { Intake, type IntakeStatistics } from "./intake.ts";
import { MessageLog } from "./message-log.ts";
import { Retention } from "./retention.ts";

/** What devices send: read, stored, kept within limits, read again. */
export interface Inbound {
  readonly intake: Intake;
  readonly log: MessageLog;
  readonly statistics: IntakeStatistics;
  /** Lets go of what is too old. */
  keepHouse(): void;
}

/** Rejects with GatewayError. */
export async function openInbound(
  { messageKeys, wallClock }: OpenedRegistry,
  storage: MessageStorage,
  given: Partial<MessageSettings> | undefined,
  events: GatewayEvents,
  clock: Clock,
): Promise<Inbound> {
  const settings = { ...DEFAULT_MESSAGE_SETTINGS, ...given };
  const seal = new MessageSeal(messageKeys, "in", settings.sealed);
  const retention = new Retention(storage, settings, wallClock);
  await retention.load();
  storage.onOwnedAnew(() => void retention.load().catch(() => {}));
  const intake = new Intake({ storage, seal, retention, settings, events, clock, wallClock });
  return {
    intake,
    log: new MessageLog(storage, { in: seal, out: new MessageSeal(messageKeys, "out", settings.sealed) }, events),
    get statistics() {
      return intake.statistics;
    },
    keepHouse: () => retention.trim(),
  };
}
