import type { System } from "../../src/doctor/check.ts";

/** A host for the doctor whose every answer a test gives; by itself it has nothing to complain about. */
export function quietHost(overrides: Partial<System> = {}): System {
  return {
    platform: "linux",
    uid: process.geteuid?.(),
    nodeVersion: "22.13.0",
    interfaces: () => ({
      eth0: [
        {
          address: "192.0.2.7",
          netmask: "255.255.255.0",
          family: "IPv4",
          mac: "02:00:00:00:00:01",
          internal: false,
          cidr: "192.0.2.7/24",
        },
      ],
    }),
    portOwner: () => undefined,
    readText: () => undefined,
    output: (file) => (file === "nft" ? "table inet filter { }" : undefined),
    ...overrides,
  };
}
