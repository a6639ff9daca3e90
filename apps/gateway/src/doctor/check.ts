import type { networkInterfaces } from "node:os";
import type { ControlClient } from "../control/client.ts";
import type { GatewayStatus } from "../control/methods.ts";
import type { portOwner } from "../gateway/port-owner.ts";

/** One finding of `usmp doctor`: problems first; its first line names the cause, `fix` is a command that works when run. */
export interface Finding {
  readonly check: CheckName;
  readonly status: "ok" | "warning" | "problem" | "not-checked";
  readonly says: string;
  readonly fix: readonly string[];
}

/** In the order in which they are reported among findings of one status: what is the reason of others comes first. */
export const CHECK_NAMES = [
  "files",
  "master",
  "database",
  "ports",
  "gateway",
  "clock",
  "device",
  "path",
  "firewall",
  "audit",
  "versions",
  "disk",
] as const;
export type CheckName = (typeof CHECK_NAMES)[number];

/** Runs with or without a running gateway; what needs one says "not-checked" without. */
export interface Check {
  readonly name: CheckName;
  run(context: DoctorContext): Promise<readonly Finding[]>;
}

export interface DoctorContext {
  readonly dataDirectory: string;
  /** Goes behind "usmp COMMAND" in a fix: "" or " --data DIR", as the doctor itself was called. */
  readonly dataFlag: string;
  /** Undefined when no gateway answers there. */
  readonly control: ControlClient | undefined;
  readonly status: GatewayStatus | undefined;
  /** Why the control socket, which is there, cannot be used. */
  readonly controlProblem: string | undefined;
  /** "postgres://…", when the gateway is started with one. */
  readonly database: string | undefined;
  readonly deviceId: string | undefined;
  /** Of the command line. */
  readonly version: string;
  readonly system: System;
}

/** What checks ask of the host; tests give their own. */
export interface System {
  readonly platform: string;
  readonly uid: number | undefined;
  readonly nodeVersion: string;
  readonly interfaces: typeof networkInterfaces;
  readonly portOwner: typeof portOwner;
  /** A file's content, or undefined when it cannot be read. */
  readonly readText: (path: string) => string | undefined;
  /** The output of a program, or undefined when it fails or is not there. */
  readonly output: (file: string, words: readonly string[]) => string | undefined;
}

export function ok(check: CheckName, says: string): Finding {
  return { check, status: "ok", says, fix: [] };
}

export function notChecked(check: CheckName, says: string): Finding {
  return { check, status: "not-checked", says, fix: [] };
}

export function warning(check: CheckName, says: string, ...fix: readonly string[]): Finding {
  return { check, status: "warning", says, fix };
}

export function problem(check: CheckName, says: string, ...fix: readonly string[]): Finding {
  return { check, status: "problem", says, fix };
}
