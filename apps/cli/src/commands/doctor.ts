import { styleText } from "node:util";
import type { Finding } from "@usmp/gateway";
import { Argument, Command } from "commander";
import { formatDeviceId, parseDeviceId } from "usmp";
import { dataDirectory, dataOption } from "../data-directory.ts";
import type { Environment } from "../environment.ts";
import { addJsonOption } from "../options.ts";
import { escapeUnprintable, jsonLine } from "../printable.ts";
import type { ReportOptions } from "../reporter.ts";
import { shellWord } from "../shell-word.ts";
import { packageVersion } from "../version.ts";
import type { CommandContext } from "./context.ts";

interface DoctorOptions extends ReportOptions {
  readonly data?: string;
  readonly database?: string;
}

export function doctorCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("doctor")
    .description("look for what keeps devices out, and prove the whole way with a throwaway device")
    .addArgument(new Argument("[id]", "a device that does not get in"))
    .addOption(dataOption())
    .option("--database <url>", "the database, as the gateway is started with it, when it does not run");
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: DoctorOptions) =>
      perform(options, async (reporter) => {
        const { examine } = await import("@usmp/gateway");
        const findings = await examine({
          dataDirectory: dataDirectory(options.data, environment.variables),
          dataFlag: options.data === undefined ? "" : ` --data ${shellWord(options.data)}`,
          database: options.database,
          deviceId: id === undefined ? undefined : formatDeviceId(parseDeviceId(id, "ID")),
          version: packageVersion(),
        });
        for (const finding of findings) {
          if (options.json) {
            await reporter.line(jsonLine({ time: environment.now().toISOString(), event: "finding", ...finding }));
          } else {
            for (const line of describe(finding, environment)) await reporter.line(line);
          }
        }
        return findings.some(({ status }) => status === "problem") ? 1 : 0;
      }),
    );
}

const STYLES = { ok: "green", warning: "yellow", problem: "red", "not-checked": "gray" } as const;
const LABEL_WIDTH = 11;
const CHECK_WIDTH = 8;

function describe({ check, status, says, fix }: Finding, { stdout }: Environment): readonly string[] {
  const label = styleText(STYLES[status], status.padEnd(LABEL_WIDTH), { stream: stdout });
  const indent = " ".repeat(LABEL_WIDTH + CHECK_WIDTH + 2);
  return [
    `${label} ${check.padEnd(CHECK_WIDTH)} ${escapeUnprintable(says)}`,
    ...fix.map((line) => `${indent}${line.startsWith("usmp ") ? "$ " : ""}${escapeUnprintable(line)}`),
  ];
}

const HELP = `
Checks modes of files, the master secret, the database, ports, the firewall (hints), the clock, the audit log and versions, and connects
a throwaway device that it enrols and deletes. Problems come first; the exit code is 1 when there is one.

Examples:
  $ usmp doctor
  $ usmp doctor 7a:d3:e6:a9:9b:17      and why this device does not get in
  $ usmp doctor --json | jq -r 'select(.status == "problem") | .says, .fix[]'`;
