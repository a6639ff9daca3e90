import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { type ControlClient, connectControl } from "../control/client.ts";
import { GatewayError } from "../errors.ts";
import { portOwner } from "../gateway/port-owner.ts";
import { audit } from "./audit.ts";
import { CHECK_NAMES, type Check, type DoctorContext, type Finding, problem, type System } from "./check.ts";
import { clock } from "./clock.ts";
import { database } from "./database.ts";
import { device } from "./device.ts";
import { files } from "./files.ts";
import { firewall } from "./firewall.ts";
import { gateway } from "./gateway.ts";
import { master } from "./master.ts";
import { path } from "./path.ts";
import { ports } from "./ports.ts";
import { versions } from "./versions.ts";

const CHECKS: readonly Check[] = [
  files,
  master,
  database,
  ports,
  gateway,
  clock,
  device,
  path,
  firewall,
  audit,
  versions,
];

export type DoctorRequest = Pick<DoctorContext, "dataDirectory" | "dataFlag" | "database" | "deviceId" | "version"> & {
  readonly system?: System;
};

/** Everything that can be found out: problems first, then warnings, then what is not checked and why, then what is well. Never throws. */
export async function examine(request: DoctorRequest): Promise<readonly Finding[]> {
  const { control, controlProblem } = await reach(request.dataDirectory);
  try {
    const context: DoctorContext = {
      ...request,
      control,
      controlProblem,
      status: await control?.call("gateway.status", {}).catch(() => undefined),
      system: request.system ?? hostSystem,
    };
    const findings: Finding[] = [];
    for (const check of CHECKS) findings.push(...(await runCheck(check, context)));
    return findings.sort((a, b) => rank(a) - rank(b));
  } finally {
    control?.close();
  }
}

async function reach(
  dataDirectory: string,
): Promise<{ control: ControlClient | undefined; controlProblem: string | undefined }> {
  try {
    return { control: await connectControl(dataDirectory), controlProblem: undefined };
  } catch (error) {
    const running = !(error instanceof GatewayError) || error.code !== "not-running";
    return { control: undefined, controlProblem: running ? messageOf(error) : undefined };
  }
}

/** A check that fails is a finding itself: the others still run. */
async function runCheck(check: Check, context: DoctorContext): Promise<readonly Finding[]> {
  try {
    return await check.run(context);
  } catch (error) {
    return [problem(check.name, `the check itself failed: ${messageOf(error)}`)];
  }
}

const STATUS_ORDER = ["problem", "warning", "not-checked", "ok"] as const;

function rank({ status, check }: Finding): number {
  return STATUS_ORDER.indexOf(status) * CHECK_NAMES.length + CHECK_NAMES.indexOf(check);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const PROGRAM_LIMIT_MS = 5_000;

const hostSystem: System = {
  platform: process.platform,
  uid: process.geteuid?.(),
  nodeVersion: process.versions.node,
  interfaces: networkInterfaces,
  portOwner,
  readText(file) {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  },
  output(file, words) {
    try {
      return execFileSync(file, words, {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        timeout: PROGRAM_LIMIT_MS,
      });
    } catch {
      return undefined;
    }
  },
};
