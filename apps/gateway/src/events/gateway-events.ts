import type { CloseReason, Move, Peer } from "usmp";
import type { InboundMessage, OutboundRecord } from "../messages/messages.ts";
import type { DeviceId, WallMs } from "../records.ts";
import type { RegistryChange } from "../registry/registry.ts";
import type { RefusalRecord } from "../why/refusal-record.ts";

/** A session, as events name it. */
export interface SessionFacts {
  readonly device: DeviceId;
  /** 32 hex digits. */
  readonly session: string;
  /** The generation of the key that it proved. */
  readonly generation: number;
  readonly peer: Peer;
}

/** What happens at a gateway, for whoever follows it live: the command line, the API's streams, sinks, metrics. No event holds a key. */
export type GatewayEvent =
  | ({ readonly type: "session"; readonly time: WallMs } & SessionFacts)
  | ({ readonly type: "session-ended"; readonly time: WallMs; readonly reason: CloseReason } & SessionFacts)
  | ({ readonly type: "moved"; readonly time: WallMs; readonly move: Move } & SessionFacts)
  /** After it was stored; at once while the store takes nothing, when `durable` is off. */
  | { readonly type: "message"; readonly message: InboundMessage }
  /** Each change of a queued message's state. */
  | { readonly type: "outbound"; readonly message: OutboundRecord }
  | { readonly type: "refused"; readonly record: RefusalRecord }
  | { readonly type: "registry"; readonly time: WallMs; readonly change: RegistryChange }
  | { readonly type: "notice"; readonly time: WallMs; readonly topic: string; readonly message: string };

export type GatewayEventType = GatewayEvent["type"];
export type GatewayEventListener = (event: GatewayEvent) => void;

/**
 * Tells its listeners at once, in the order in which they came. A listener must be quick, and what it throws is an uncaught exception: whoever does more keeps a
 * bounded buffer of its own (see EventFeed).
 */
export class GatewayEvents {
  readonly #listeners: Set<GatewayEventListener> = new Set();

  on(listener: GatewayEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: GatewayEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // An application's fault: its own to see, as an uncaught exception, and nobody's here to fail from.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
