import type { ControlMethod } from "../control/methods.ts";
import { DEVICE_ROUTES } from "./routes/device-routes.ts";
import { GATEWAY_ROUTES } from "./routes/gateway-routes.ts";
import { MESSAGE_ROUTES } from "./routes/message-routes.ts";
import type { HostOnly, Route, RoutesOf } from "./routes/route.ts";

/** Every control method: the command line and the API call the same handlers, so they cannot differ. */
export const ROUTES: RoutesOf<ControlMethod> = { ...DEVICE_ROUTES, ...MESSAGE_ROUTES, ...GATEWAY_ROUTES };

export function isRoute(route: Route | HostOnly): route is Route {
  return "verb" in route;
}
