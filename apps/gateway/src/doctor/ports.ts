import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { deviceAddresses } from "../gateway/device-addresses.ts";
import { type Check, type DoctorContext, type Finding, ok, problem, warning } from "./check.ts";

const DEFAULT_PORT = 9000;

/** Whether devices find the gateway's ports; without a gateway, whether it could have them. */
export const ports: Check = {
  name: "ports",
  async run(context) {
    const { status } = context;
    if (status === undefined) return context.controlProblem === undefined ? freePorts(context) : [];
    const shown = status.addresses.map(({ transport, host, port }) => `${transport} ${host}:${port}`).join(", ");
    const reachable = status.addresses.flatMap((address) => deviceAddresses(address, context.system.interfaces()));
    if (reachable.length > 0) {
      const list = reachable.map(({ transport, host, port }) => `${transport} ${bracketed(host)}:${port}`);
      return [ok("ports", `devices connect to ${list.join(", ")}`)];
    }
    const loopback = status.addresses.every(({ host }) => host === "::1" || host.startsWith("127."));
    const says = loopback
      ? `the gateway listens on this host alone (${shown}): no device on the network reaches it`
      : `this host has no address on a network (${shown} is all interfaces)`;
    const flags = status.addresses.map(({ transport, port }) => `--${transport} :${port}`).join(" ");
    return [
      loopback
        ? warning("ports", says, `usmp gateway ${flags}${context.dataFlag}   # instead of the one that runs`)
        : warning("ports", says, "connect this host to a network"),
    ];
  },
};

async function freePorts({ system, dataFlag }: DoctorContext): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const transport of ["tcp", "udp"] as const) {
    if (await isFree(transport, DEFAULT_PORT)) continue;
    const owner = system.portOwner(transport, DEFAULT_PORT) ?? "another program";
    const other = await nextFree(transport, DEFAULT_PORT + 1);
    found.push(
      problem(
        "ports",
        `${transport.toUpperCase()} port ${DEFAULT_PORT} is taken by ${owner}`,
        `usmp gateway --tcp :${other} --udp :${other}${dataFlag}   # and tell the devices; or end that program`,
      ),
    );
  }
  return found.length > 0 ? found : [ok("ports", `TCP and UDP port ${DEFAULT_PORT} are free`)];
}

async function nextFree(transport: "tcp" | "udp", from: number): Promise<number> {
  for (let port = from; port < from + 100; port++) if (await isFree(transport, port)) return port;
  return from;
}

async function isFree(transport: "tcp" | "udp", port: number): Promise<boolean> {
  const socket = transport === "tcp" ? createServer() : createSocket("udp4");
  try {
    if ("listen" in socket) socket.listen(port);
    else socket.bind(port);
    await once(socket, "listening");
    return true;
  } catch {
    return false;
  } finally {
    try {
      socket.close();
    } catch {
      // It never opened.
    }
  }
}

export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
