import type { ControlContext } from "./context.ts";
import { deviceMethods } from "./device-methods.ts";
import { keepingMethods } from "./keeping-methods.ts";
import { logMethods } from "./log-methods.ts";
import { observeMethods } from "./observe-methods.ts";
import { outboundMethods } from "./outbound-methods.ts";
import { recordMethods } from "./record-methods.ts";
import type { ControlHandlers } from "./server.ts";
import { statusMethods } from "./status-methods.ts";
import { tokenMethods } from "./token-methods.ts";

/** Everything that the control socket answers. What is asked for in a wrong way is refused by each method itself (params.ts). */
export function createControlMethods(context: ControlContext): ControlHandlers {
  return {
    ...statusMethods(context),
    ...deviceMethods(context),
    ...recordMethods(context),
    ...keepingMethods(context),
    ...logMethods(context),
    ...observeMethods(context),
    ...outboundMethods(context),
    ...tokenMethods(context),
  } as ControlHandlers;
}
