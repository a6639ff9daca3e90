import type { IncomingMessage } from "node:http";

/** On every answer: nothing is kept, framed, sniffed or run by a browser. */
const ALWAYS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  vary: "Origin",
  "x-content-type-options": "nosniff",
};
/** So long a browser remembers what it may ask. */
const PREFLIGHT_SECONDS = 600;

/** Headers of an answer. `version` is told to those who have a token alone: it helps who looks for an old gateway. */
export function answerHeaders(
  { headers }: IncomingMessage,
  origin: "none" | "allowed",
  version: string | undefined,
): Readonly<Record<string, string>> {
  return {
    ...ALWAYS,
    ...(origin === "none"
      ? {}
      : {
          "access-control-allow-origin": headers.origin ?? "",
          "access-control-expose-headers": "retry-after, usmp-version",
        }),
    ...(version === undefined ? {} : { "usmp-version": version }),
  };
}

/** What a page of an allowed origin may ask. No cookies are used, so credentials are not allowed. */
export function preflightHeaders({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  return {
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-allow-headers": "authorization, content-type, accept",
    "access-control-max-age": String(PREFLIGHT_SECONDS),
    // https://wicg.github.io/private-network-access/: a public page asks a host of this network.
    ...(headers["access-control-request-private-network"] === "true"
      ? { "access-control-allow-private-network": "true" }
      : {}),
  };
}
