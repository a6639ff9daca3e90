import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { TLSSocket } from "node:tls";
import { GatewayError } from "../errors.ts";
import type { HttpSettings } from "./http-settings.ts";
import { HttpProblem, quoted } from "./problem.ts";

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\\[\]]+)(:\d{1,5})?$/;

/** Checks where it may listen. Throws GatewayError "usage". */
export function checkSettings({ host, tls, insecure, allowedOrigins }: HttpSettings): void {
  if (!isLoopback(host) && tls === undefined && !insecure) {
    throw new GatewayError(
      "usage",
      `http ${host}: beyond loopback tokens would cross the network in the clear; give a certificate and its key, or say that a proxy in front ` +
        "encrypts (insecure)",
    );
  }
  for (const origin of allowedOrigins) {
    if (originOf(origin) === origin) continue;
    throw new GatewayError(
      "usage",
      `allowed origin ${quoted(origin)}: write scheme and host alone, as https://panel.example or http://localhost:3000`,
    );
  }
}

/** Whether a request names us: a page whose name was rebound to our address (DNS rebinding) names its own host. */
function isOurHost(request: IncomingMessage, { host, allowedHosts }: HttpSettings): boolean {
  const name = hostName(request.headers.host);
  if (name === undefined) return false;
  if (name === "localhost" || name === host.toLowerCase()) return true;
  // An address as the host was not looked up in anybody's DNS.
  if (isIP(name) !== 0 && (plainAddress(request.socket.localAddress) === name || isLoopback(name))) return true;
  return allowedHosts.some((allowed) => (isIP(allowed) === 0 ? hostName(allowed) : allowed.toLowerCase()) === name);
}

/** What a page's origin is to us. "none": no browser page speaks, or it does not say so. */
function judgeOrigin(request: IncomingMessage, settings: HttpSettings): "none" | "allowed" | "foreign" {
  const { origin } = request.headers;
  if (origin === undefined) return "none";
  const scheme = (request.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  const own = `${scheme}://${request.headers.host?.toLowerCase() ?? ""}`;
  return origin === own || settings.allowedOrigins.includes(origin) ? "allowed" : "foreign";
}

/** Throws HttpProblem for a request that does not name us, or comes from a page that may not speak to us. */
export function admit(request: IncomingMessage, settings: HttpSettings): "none" | "allowed" {
  if (!isOurHost(request, settings)) {
    const { host = "" } = request.headers;
    throw new HttpProblem(
      403,
      "forbidden",
      `host ${quoted(host)} is not a name of this gateway; if it is, add it to the allowed hosts`,
    );
  }
  const origin = judgeOrigin(request, settings);
  if (origin !== "foreign") return origin;
  throw new HttpProblem(
    403,
    "forbidden",
    `pages of ${quoted(request.headers.origin ?? "")} may not speak to this gateway; if they shall, add it to the allowed origins`,
  );
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** An address without the prefix that it has on a socket of both families. */
export function plainAddress(address: string | undefined): string {
  return (address ?? "").toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
}

function hostName(header: string | undefined): string | undefined {
  const [, name] = HOST.exec(header ?? "") ?? [];
  return name?.toLowerCase().replace(/^\[|\]$/g, "");
}

function originOf(text: string): string | undefined {
  try {
    const { origin } = new URL(text);
    return origin;
  } catch {
    return undefined;
  }
}
