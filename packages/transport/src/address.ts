import { isIPv4, isIPv6 } from "node:net";

/** Where to connect to: a host name, an IPv4 address, or an IPv6 address without brackets. */
export interface ConnectAddress {
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

/** Where to listen. */
export interface ListenAddress {
  /** Undefined: all interfaces, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** 0..65535; 0 asks the system for a free port. */
  readonly port: number;
}

/** An address that nobody can connect to or listen on. The message names the field, what is wrong and the fix. */
export class AddressError extends Error {
  override readonly name = "AddressError";
  readonly code = "invalid-address";
  /** The option or argument that held the value, as its user knows it: "--tcp", "host". */
  readonly field: string;
  readonly value: string;
  readonly fix: string;

  constructor(field: string, value: string, problem: string, fix: string) {
    super(`${field} ${JSON.stringify(value)}: ${problem}; ${fix}`);
    this.field = field;
    this.value = value;
    this.fix = fix;
  }
}

/** Parses "host:port" or "[ipv6]:port". With `defaultPort`, ":port" may be missing. */
export function parseConnectAddress(text: string, field: string, defaultPort?: number): ConnectAddress {
  const { host, port } = split(text, field);
  if (host === "") throw new AddressError(field, text, "the host is missing", `write ${withHost(text)}`);
  checkHost(host, field, text);
  if (port === undefined && defaultPort === undefined) {
    throw new AddressError(field, text, "the port is missing", `write ${formatAddress({ host, port: EXAMPLE_PORT })}`);
  }
  return { host, port: port === undefined ? (defaultPort as number) : parsePort(port, field, text, 1) };
}

/** Parses "host:port", "[ipv6]:port", and for all interfaces ":port", "*:port" or only "port". */
export function parseListenAddress(text: string, field: string): ListenAddress {
  if (/^\d+$/.test(text)) return { host: undefined, port: parsePort(text, field, text, 0) };
  const { host, port } = split(text, field);
  if (port === undefined) {
    const fix = `write ${host === "" ? EXAMPLE_PORT : formatAddress({ host, port: EXAMPLE_PORT })}`;
    throw new AddressError(field, text, "the port is missing", fix);
  }
  const number = parsePort(port, field, text, 0);
  if (host === "" || host === "*") return { host: undefined, port: number };
  checkHost(host, field, text);
  return { host, port: number };
}

/** Checks a host and a port that came apart, as library options do. `minPort` is 0 for listening, 1 for connecting. */
export function checkHostAndPort(host: string | undefined, port: number, field: string, minPort: 0 | 1): void {
  if (host !== undefined && host !== "") checkHost(host, `${field}host`, host);
  if (!Number.isInteger(port) || port < minPort || port > MAX_PORT) {
    throw new AddressError(
      `${field}port`,
      String(port),
      `not a whole number from ${minPort} to ${MAX_PORT}`,
      portFix(minPort),
    );
  }
}

/** "host:port", with brackets around an IPv6 host. Parses back to the same address. */
export function formatAddress(address: { readonly host: string; readonly port: number }): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** ::ffff:a.b.c.d, as a dual-stack socket names an IPv4 peer (RFC 4291 section 2.5.5.2), becomes a.b.c.d. */
export function plainHost(host: string): string {
  if (!host.startsWith(MAPPED_PREFIX)) return host;
  const tail = host.slice(MAPPED_PREFIX.length);
  return isIPv4(tail) ? tail : host;
}

export const MAPPED_PREFIX = "::ffff:";

const MAX_PORT = 65_535;
const EXAMPLE_PORT = 9000;

function split(text: string, field: string): { host: string; port: string | undefined } {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text);
  if (scheme !== null) {
    const rest = text.slice(scheme[0].length).replace(/\/.*$/, "");
    throw new AddressError(field, text, "a URL is not an address", `write ${rest === "" ? "HOST:PORT" : rest}`);
  }
  if (text.startsWith("[")) return splitBracketed(text, field);
  const colon = text.lastIndexOf(":");
  const host = colon === -1 ? text : text.slice(0, colon);
  const port = colon === -1 ? undefined : text.slice(colon + 1);
  if (isIPv6(host)) throw new AddressError(field, text, "an IPv6 address needs brackets", `write [${host}]:${port}`);
  if (isIPv6(text))
    throw new AddressError(field, text, "an IPv6 address needs brackets", `write [${text}]:${EXAMPLE_PORT}`);
  if (host.includes(":"))
    throw new AddressError(field, text, "it has more than one colon", "write HOST:PORT, or [IPV6]:PORT");
  return { host, port };
}

function splitBracketed(text: string, field: string): { host: string; port: string | undefined } {
  const match = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (match === null)
    throw new AddressError(field, text, "the brackets are not closed, or not followed by :PORT", "write [IPV6]:PORT");
  const host = match[1] as string;
  if (!isIPv6(host))
    throw new AddressError(field, text, "brackets hold no IPv6 address", "write [IPV6]:PORT, or HOST:PORT");
  return { host, port: match[2] };
}

function parsePort(digits: string, field: string, text: string, min: 0 | 1): number {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
  if (port >= min && port <= MAX_PORT) return port;
  throw new AddressError(field, text, `the port is not a number from ${min} to ${MAX_PORT}`, portFix(min));
}

function portFix(min: 0 | 1): string {
  return min === 0
    ? `give a port such as ${EXAMPLE_PORT}, or 0 for a free one`
    : `give the port that the server prints, such as ${EXAMPLE_PORT}`;
}

function withHost(text: string): string {
  return text.startsWith(":") ? `127.0.0.1${text}` : `127.0.0.1:${EXAMPLE_PORT}`;
}

/** Host names by RFC 1123 section 2.1, with the underscore that names in the field carry. */
const HOST_NAME = /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?$/i;

function checkHost(host: string, field: string, text: string): void {
  if (isIPv4(host) || isIPv6(host)) return;
  // A name whose last label is all digits would be taken for an IPv4 address by some resolvers (RFC 3696 section 2).
  if (/(^|\.)\d+\.?$/.test(host)) {
    throw new AddressError(
      field,
      text,
      "the host is no IPv4 address",
      "write four numbers from 0 to 255, such as 192.168.1.20",
    );
  }
  if (host.length > 253 || !HOST_NAME.test(host)) {
    throw new AddressError(
      field,
      text,
      "the host is no host name and no IP address",
      "use letters, digits, hyphens and dots only",
    );
  }
}
