/** One finding of `usmp doctor`: problems first; its first line names the cause, `fix` is a command that works when run. */
export interface Finding {
  readonly check: CheckName;
  readonly status: "ok" | "warning" | "problem" | "not-checked";
  readonly says: string;
  readonly fix: readonly string[];
}

export type CheckName =
  | "gateway"
  | "ports"
  | "firewall"
  | "files"
  | "master"
  | "database"
  | "clock"
  | "versions"
  | "audit"
  | "device"
  | "path";

/** Runs with or without a running gateway; what needs one says "not-checked" without. */
export interface Check {
  readonly name: CheckName;
  run(context: DoctorContext): Promise<readonly Finding[]>;
}

export interface DoctorContext {
  readonly dataDirectory: string;
  /** Undefined when no gateway answers there. */
  readonly control: import("../control/client.ts").ControlClient | undefined;
  readonly deviceId: string | undefined;
}
