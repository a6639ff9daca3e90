import type { HealthView } from "../control/methods.ts";

type Handler = (request: Request) => Promise<Response>;

/** GET /healthz: the process answers. It says nothing of what it depends on: a restart would mend none of that. */
export const livenessHandler: Handler = async (request) => answer(request, 200, { alive: true });

/** GET /readyz: 200 when devices can connect and be heard; 503 with the reasons else. */
export function readinessHandler(observed: {
  health(options: { readonly details: boolean }): Promise<HealthView>;
}): Handler {
  return async (request) => {
    const view = await observed.health({ details: false });
    return answer(request, view.ready ? 200 : 503, view);
  };
}

function answer(request: Request, status: number, body: object): Response {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(request.method === "HEAD" ? null : `${JSON.stringify(body)}\n`, { status, headers });
}
