import { GatewayError } from "../errors.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";
import { paced } from "./device-methods.ts";
import { batchOf, idOf } from "./params.ts";
import { refusalView } from "./views.ts";

const DEFAULT_LIMIT = 50;

/** What was recorded, and keys that are no device's. */
export function recordMethods({ opened, refusals }: ControlContext): MethodHandlers {
  const { registry } = opened;
  return {
    why: ({ id, limit = DEFAULT_LIMIT }) => {
      if (!Number.isInteger(limit) || limit < 1)
        throw new GatewayError("usage", "the limit is not a whole number of at least 1");
      return paced(refusals.records(id === undefined ? undefined : idOf(id)).slice(0, limit), refusalView);
    },
    "factory-key": async ({ batch }, actor) => {
      using key = await registry.factoryKey(batchOf(batch), actor);
      return { batch, key: Buffer.from(key.expose()).toString("hex") };
    },
    "audit.verify": () => registry.audit.verify(),
    "audit.export": ({ from }) => registry.audit.rows(from),
  };
}
