import { promises as dns } from "node:dns";
import { isIP } from "node:net";
import type { NativeSockets } from "@usmp/native";
import type { BindUdpOptions, ListenTcpOptions } from "@usmp/transport";
import { nativeSockets } from "../native-sockets.ts";

/**
 * How workers come by sockets. "node" and "native": each has its own at the port (SO_REUSEPORT), made by Node or by the addon, and the kernel
 * keeps an address with one of them. "shared": all read one and the same.
 */
export type SocketSource = "node" | "native" | "shared";

/** What this machine offers. Elsewhere than on Linux SO_REUSEPORT does not share anything out. */
export function socketSource(): SocketSource {
  if (process.platform !== "linux") return "shared";
  if (nodeCanReusePort(process.versions.node)) return "node";
  return nativeSockets() === undefined ? "shared" : "native";
}

/** From 22.12 and 23.1 on. */
export function nodeCanReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

type Place = Pick<ListenTcpOptions & BindUdpOptions, "host" | "port">;

/** Where and on which socket a worker listens. Rejects with the system's error when the address cannot be bound. */
export async function ownSocket(
  source: SocketSource,
  kind: "tcp" | "udp",
  { host, port }: Place,
): Promise<Partial<ListenTcpOptions & BindUdpOptions>> {
  if (source === "shared") return {};
  if (source === "node") return { reusePort: true };
  const address = host === undefined || host === "" ? undefined : await literal(host);
  const bind = (at: string): { host: string; fd: number } => ({
    host: at,
    fd: (nativeSockets() as NativeSockets).reusePortSocket(kind, at, port),
  });
  if (address !== undefined) return bind(address);
  try {
    return bind("::");
  } catch (error) {
    if (!NO_IPV6.has((error as { code?: string }).code ?? "")) throw error;
    return bind("0.0.0.0");
  }
}

/** What a system without IPv6 answers. */
const NO_IPV6: ReadonlySet<string> = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT"]);

async function literal(host: string): Promise<string> {
  return isIP(host) === 0 ? (await dns.lookup(host, { verbatim: true })).address : host;
}
