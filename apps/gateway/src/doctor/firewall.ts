import type { GatewayStatus } from "../control/methods.ts";
import { type Check, type DoctorContext, type Finding, notChecked, ok, warning } from "./check.ts";

type Address = GatewayStatus["addresses"][number];

/** Hints, not certainty: what stands between here and a device is seen by a device alone. */
export const firewall: Check = {
  name: "firewall",
  async run(context) {
    const { status, system } = context;
    if (system.platform !== "linux") {
      return [
        notChecked("firewall", "the firewall is looked at on Linux alone; let in the ports of usmp gateway yourself"),
      ];
    }
    const addresses = (status?.addresses ?? DEFAULT_ADDRESSES).filter(({ host }) => !isLoopback(host));
    if (addresses.length === 0) return [ok("firewall", "no port is open to the network")];
    return ufw(context, addresses) ?? firewalld(context, addresses) ?? nftables(context, addresses);
  },
};

const DEFAULT_ADDRESSES: readonly Address[] = [
  { transport: "tcp", host: "::", port: 9000 },
  { transport: "udp", host: "::", port: 9000 },
];

/** Its files can be read by root alone; that it is on, by everyone. */
function ufw({ system }: DoctorContext, addresses: readonly Address[]): readonly Finding[] | undefined {
  if (!/^ENABLED=yes$/m.test(system.readText("/etc/ufw/ufw.conf") ?? "")) return undefined;
  const rules = system.readText("/etc/ufw/user.rules");
  const missing = addresses.filter(
    ({ transport, port }) =>
      rules === undefined || !new RegExp(`^### tuple ### allow (?:${transport}|any) ${port} `, "m").test(rules),
  );
  if (missing.length === 0) return [ok("firewall", "ufw lets the ports in")];
  const says =
    rules === undefined
      ? "ufw is on, and its rules can be read by root alone"
      : "ufw is on and lets these ports not in";
  return [
    warning(
      "firewall",
      `${says}: ${portList(missing)}`,
      ...missing.map(({ transport, port }) => `sudo ufw allow ${port}/${transport}`),
    ),
  ];
}

function firewalld({ system }: DoctorContext, addresses: readonly Address[]): readonly Finding[] | undefined {
  if (system.output("firewall-cmd", ["--state"])?.trim() !== "running") return undefined;
  const open = new Set((system.output("firewall-cmd", ["--list-ports"]) ?? "").split(/\s+/));
  const missing = addresses.filter(({ transport, port }) => !open.has(`${port}/${transport}`));
  if (missing.length === 0) return [ok("firewall", "firewalld lets the ports in")];
  return [
    warning(
      "firewall",
      `firewalld is on and lets these ports not in: ${portList(missing)}`,
      ...missing.map(({ transport, port }) => `sudo firewall-cmd --permanent --add-port=${port}/${transport}`),
      "sudo firewall-cmd --reload",
    ),
  ];
}

function nftables({ system }: DoctorContext, addresses: readonly Address[]): readonly Finding[] {
  const rules = system.output("nft", ["list", "ruleset"]);
  if (rules === undefined) {
    return [
      notChecked("firewall", "no ufw, no firewalld; rules of nftables are shown to root alone (sudo usmp doctor)"),
    ];
  }
  if (!/hook input[^}]*policy drop|hook input[^}]*\b(?:drop|reject)\b/s.test(rules))
    return [ok("firewall", "no rule drops what comes in")];
  const missing = addresses.filter(({ port }) => !new RegExp(`dport[^\\n]*\\b${port}\\b[^\\n]*accept`).test(rules));
  if (missing.length === 0) return [ok("firewall", "nftables accepts the ports")];
  return [
    warning(
      "firewall",
      `nftables drops what comes in, and no rule names these ports: ${portList(missing)}`,
      ...missing.map(
        ({ transport, port }) =>
          `sudo nft insert rule inet filter input ${transport} dport ${port} accept   # in your table and chain`,
      ),
    ),
  ];
}

function portList(addresses: readonly Address[]): string {
  return addresses.map(({ transport, port }) => `${transport} ${port}`).join(", ");
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
