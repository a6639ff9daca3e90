import { describeSource } from "../master/sources.ts";
import { formatTime } from "../records.ts";
import type { ControlContext, MethodHandlers } from "./context.ts";

export function statusMethods({ server, opened, options, startedAt }: ControlContext): MethodHandlers {
  const { registry, wallClock, exposure } = opened;
  return {
    "gateway.status": async () => ({
      version: options.version,
      pid: process.pid,
      startedAt: formatTime(startedAt),
      dev: options.development,
      addresses: server.addresses,
      sessions: server.sessions.size,
      devices: registry.deviceCount,
      registryAgeMs: Math.round(registry.ageMs),
      storage: await registry.describe(),
      clock: wallClock.doubt ?? null,
      masterSource: describeSource(options.master),
      masterExposure: exposure?.problem ?? null,
      masterRotation: registry.masterRotation() ?? null,
    }),
    "clock.confirm": async (_, actor) => {
      wallClock.confirm();
      await registry.audit.append("clock.confirm", {}, actor);
      return {};
    },
  };
}
