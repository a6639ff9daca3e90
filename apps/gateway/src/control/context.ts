import type { Server } from "usmp";
import type { GatewayEvents } from "../events/gateway-events.ts";
import type { DeviceSessions } from "../gateway/device-sessions.ts";
import type { GatewayOptions } from "../gateway/gateway.ts";
import type { Inbound } from "../messages/inbound/open-inbound.ts";
import type { OutboundQueue } from "../messages/outbound/outbound-queue.ts";
import type { MessageStorage } from "../messages/storage.ts";
import type { Observed } from "../observe/observed.ts";
import type { Actor, WallMs } from "../records.ts";
import type { OpenedRegistry } from "../registry/open-registry.ts";
import type { Refusals } from "../why/refusals.ts";
import type { ControlMethod, ControlMethods } from "./methods.ts";

/** What the methods of the control socket work on. */
export interface ControlContext {
  readonly server: Server;
  readonly opened: OpenedRegistry;
  readonly storage: MessageStorage;
  readonly outbound: OutboundQueue;
  readonly inbound: Inbound;
  readonly sessions: DeviceSessions;
  readonly refusals: Refusals;
  readonly events: GatewayEvents;
  readonly observed: Observed;
  readonly options: GatewayOptions;
  readonly startedAt: WallMs;
}

/** Handlers by method: a result, or a stream of items, which ends when `signal` aborts. */
export type MethodHandlers = {
  readonly [M in ControlMethod]?: (
    params: ControlMethods[M]["params"],
    actor: Actor,
    /** Aborts when whoever asked has gone, or wants no more items. */
    signal: AbortSignal,
  ) => ControlMethods[M] extends { item: infer Item }
    ? AsyncIterable<Item>
    : Promise<ControlMethods[M] extends { result: infer Result } ? Result : never>;
};
