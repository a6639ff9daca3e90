import type { Clock } from "usmp";
import type { ControlHandlers } from "../control/server.ts";
import type { ExtraRoute } from "../http/extra-route.ts";
import { livenessHandler, readinessHandler } from "../http/health.ts";
import type { HttpServer } from "../http/http-server.ts";
import { metricsHandler } from "../metrics/http.ts";
import type { OpenedRegistry } from "../registry/open-registry.ts";
import type { GatewayOptions } from "./gateway.ts";

/** The HTTP API of a running gateway. */
export interface OpenedHttp {
  readonly server: HttpServer;
  /** Answers once: nobody else can have it then. */
  takeFirstToken(): string | undefined;
}

type Observable = Parameters<typeof metricsHandler>[0] & Parameters<typeof readinessHandler>[0];

/** Opens the HTTP API when the options say so; its parts are loaded only then. */
export async function openHttp(
  options: GatewayOptions,
  handlers: ControlHandlers,
  { tokens, registry, wallClock }: OpenedRegistry,
  { clock, observed }: { readonly clock: Clock; readonly observed: Observable },
): Promise<OpenedHttp | undefined> {
  if (options.http === undefined) return undefined;
  const { HttpServer } = await import("../http/http-server.ts");
  const server = await HttpServer.open({
    settings: options.http,
    handlers,
    tokens,
    clock,
    wallClock,
    version: options.version,
    extraRoutes: observationRoutes(observed),
    appendRefusals: (rows) => registry.audit.appendRefusals(rows),
  });
  let first: string | undefined;
  // Revoked ones count: whoever revoked the last admin makes the next one on the gateway's host.
  if (tokens.list().length === 0) {
    const request = { name: "first admin", role: "admin", ttlMs: undefined } as const;
    first = (await tokens.add(request, { who: "gateway", from: "start" })).text;
  }
  return {
    server,
    takeFirstToken: () => {
      const token = first;
      first = undefined;
      return token;
    },
  };
}

/** Without a token they say no more than that all is well, or not; reasons and figures are a viewer's to read. */
function observationRoutes(observed: Observable): readonly ExtraRoute[] {
  const detailed = readinessHandler({ health: () => observed.health({ details: true }) });
  const bare = readinessHandler({
    health: async () => ({ ready: (await observed.health({ details: false })).ready, checks: [] }),
  });
  const metrics = metricsHandler(observed);
  return [
    { path: "/healthz", role: "anyone", answer: livenessHandler },
    { path: "/readyz", role: "anyone", answer: (request, role) => (role === undefined ? bare : detailed)(request) },
    { path: "/metrics", role: "viewer", answer: metrics },
  ];
}
