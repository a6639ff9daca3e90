import type { Clock } from "usmp";
import type { ControlHandlers } from "../control/server.ts";
import type { ExtraRoute } from "../http/extra-route.ts";
import type { HttpServer } from "../http/http-server.ts";
import type { OpenedRegistry } from "../registry/open-registry.ts";
import type { GatewayOptions } from "./gateway.ts";

/** The HTTP API of a running gateway. */
export interface OpenedHttp {
  readonly server: HttpServer;
  /** Answers once: nobody else can have it then. */
  takeFirstToken(): string | undefined;
}

/** Opens the HTTP API when the options say so; its parts are loaded only then. */
export async function openHttp(
  options: GatewayOptions,
  handlers: ControlHandlers,
  { tokens, registry, wallClock }: OpenedRegistry,
  clock: Clock,
  extraRoutes: readonly ExtraRoute[] = [],
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
    extraRoutes,
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
