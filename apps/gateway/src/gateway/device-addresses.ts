import { networkInterfaces } from "node:os";
import type { Peer } from "usmp";

type Interfaces = ReturnType<typeof networkInterfaces>;

/**
 * Where devices on the network reach what listens on `bound`: the host's own addresses when it listens on all interfaces, IPv4 first;
 * link-local addresses are left out, as they need a scope that differs on each host. Empty: only this host itself can connect.
 */
export function deviceAddresses(bound: Peer, interfaces: Interfaces = networkInterfaces()): readonly Peer[] {
  const { transport, host, port } = bound;
  if (host !== "::" && host !== "0.0.0.0") return isLoopback(host) ? [] : [bound];
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(
      ({ internal, address, family }) => !internal && !/^fe80:/i.test(address) && (host === "::" || family === "IPv4"),
    )
    .sort((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => ({ transport, host: address, port }));
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
