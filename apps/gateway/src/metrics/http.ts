import { PROMETHEUS_CONTENT_TYPE } from "./prometheus-text.ts";

/** GET /metrics. */
export function metricsHandler(observed: { metricsText(): Promise<string> }): (request: Request) => Promise<Response> {
  return async (request) => {
    const text = await observed.metricsText();
    const headers = { "content-type": PROMETHEUS_CONTENT_TYPE, "cache-control": "no-store" };
    return new Response(request.method === "HEAD" ? null : text, { headers });
  };
}
