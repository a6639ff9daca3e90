import type { TokenRole } from "../control/methods.ts";

/** A GET beside the control methods: /metrics, /healthz, /readyz. */
export interface ExtraRoute {
  /** Such as "/metrics". */
  readonly path: string;
  /** "anyone" needs no token; what it answers without one tells nothing but whether all is well. */
  readonly role: TokenRole | "anyone";
  /** `role` is the token's; undefined: the request has none, or none that is good. */
  readonly answer: (request: Request, role: TokenRole | undefined) => Response | Promise<Response>;
}
