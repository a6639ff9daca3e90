import type { DeviceId, WallMs } from "../records.ts";
import type { RefusalCause } from "./cause.ts";

/** One refused attempt, or several alike within a minute: useful to the owner, useless to a thief. */
export interface RefusalRecord {
  readonly firstAt: WallMs;
  readonly lastAt: WallMs;
  readonly count: number;
  readonly transport: "tcp" | "udp";
  /** host:port of the last one. */
  readonly peer: string;
  /** IPv4 address or IPv6 /64. */
  readonly source: string;
  /** As claimed in HELLO; undefined when none came. */
  readonly claimedId: DeviceId | undefined;
  readonly cause: RefusalCause;
}
