import { lookup as systemLookup } from "node:dns";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { isPublicAddress } from "./public-address.ts";

/** Where requests may go. */
export interface Reach {
  /** "host" or "host:port": allowed by name, wherever it is, and without TLS. */
  readonly allowed: readonly string[];
  /** PEM: who else may vouch for a server. */
  readonly ca: string | undefined;
  /** dns.lookup, or a test's. */
  readonly resolve: Resolve;
}

export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;
export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

/** The target itself is not to be spoken to: another try is useless. */
export class ForbiddenTargetError extends Error {
  override readonly name = "ForbiddenTargetError";
}

const MOST_REDIRECTS = 3;
/** Of an answer's body, which nobody reads: enough to leave the connection in order, not enough to keep us busy. */
const MOST_BODY_BYTES = 65_536;

/**
 * POSTs to a URL and answers the status. Addresses of this host and the networks around it are refused, unless the URL's host is allowed by
 * name: checked is what the name resolves to, and the connection goes to just that, so a second answer of DNS changes nothing. Redirects that
 * keep the method (307, 308) are followed under the same rules. No proxy of the environment is used; certificates are checked, always.
 */
export async function guardedPost(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  reach: Reach,
  signal: AbortSignal,
): Promise<Answer> {
  let target = url;
  for (let redirects = 0; ; redirects++) {
    const response = await postOnce(target, headers, body, reach, signal);
    const { statusCode = 0, headers: answered } = response;
    await discard(response);
    if (statusCode !== 307 && statusCode !== 308) return { status: statusCode, retryAfter: answered["retry-after"] };
    if (redirects === MOST_REDIRECTS) throw new ForbiddenTargetError(`more than ${MOST_REDIRECTS} redirects`);
    if (!URL.canParse(answered.location ?? "", target.href)) throw new ForbiddenTargetError("a redirect to nowhere");
    target = new URL(answered.location as string, target);
  }
}

function postOnce(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  reach: Reach,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { lookup } = checkTarget(url, reach);
  const options: RequestOptions = {
    method: "POST",
    headers: { ...headers, "content-length": Buffer.byteLength(body) },
    lookup,
    signal,
    // A connection of its own, which meets the rules anew; the global agent may be told to use a proxy.
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { ...options, rejectUnauthorized: true, minVersion: "TLSv1.2", ...certificates(reach) })
        : httpRequest(url, options);
    request.on("response", resolve).on("error", reject);
    request.end(body);
  });
}

/** Throws ForbiddenTargetError for what can be told before a connection; the answer's lookup does for what DNS says. */
function checkTarget(url: URL, reach: Reach): { readonly lookup: LookupFunction } {
  const { protocol, hostname, port } = url;
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const byName = [host, `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`].some((name) =>
    reach.allowed.includes(name),
  );
  if (protocol !== "https:" && !(protocol === "http:" && byName)) {
    throw new ForbiddenTargetError(
      `${protocol}//${hostname}: https:// alone, or http:// to a host that is allowed by name`,
    );
  }
  if (url.username !== "" || url.password !== "") throw new ForbiddenTargetError("a URL with a user or a password");
  const check = (address: string): void => {
    if (!byName && !isPublicAddress(address)) throw forbiddenAddress(hostname, address);
  };
  // A literal address is connected to without a look-up.
  if (isIP(host) !== 0) check(host);
  return { lookup: checkedLookup(reach.resolve, check) };
}

/** What net.connect() calls for a host name, and connects to the answer of. */
function checkedLookup(resolve: Resolve, check: (address: string) => void): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (addresses) => {
        try {
          for (const { address } of addresses) check(address);
        } catch (error) {
          return callback(error as NodeJS.ErrnoException, []);
        }
        const [first] = addresses;
        if (options.all) callback(null, [...addresses]);
        else if (first === undefined) callback(new Error(`${host} has no address`), []);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

export const resolveBySystem: Resolve = (host) =>
  new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
  });

function forbiddenAddress(host: string, address: string): ForbiddenTargetError {
  return new ForbiddenTargetError(
    `${host} is ${address}, which is no address of the public Internet; if it is meant, name the host in the option "allow"`,
  );
}

function certificates({ ca }: Reach): { readonly ca?: string } {
  return ca === undefined ? {} : { ca };
}

/** Reads a little of the body, and lets go. */
async function discard(response: IncomingMessage): Promise<void> {
  let read = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      read += chunk.length;
      if (read > MOST_BODY_BYTES) break;
    }
  } catch {
    // The status is what counts.
  } finally {
    response.destroy();
  }
}
