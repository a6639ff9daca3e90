import { networkInterfaces } from "node:os";

/** Whether ::1 is there; tests of IPv6 are skipped without it. */
export const hasIPv6Loopback: boolean = Object.values(networkInterfaces())
  .flat()
  .some((face) => face?.address === "::1");
