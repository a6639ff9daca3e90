import type { AuditVerdict } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import type { ExitCode } from "../environment.ts";
import { wholeNumber } from "../options.ts";
import { jsonLine } from "../printable.ts";
import type { Reporter } from "../reporter.ts";
import type { CommandContext } from "./context.ts";

interface ExportOptions extends ControlOptions {
  readonly from?: number;
}

/** The record of who did what to keys and devices. */
export function auditCommand(context: CommandContext): Command {
  const command = new Command("audit").description(
    "the record of what was done to keys and devices, by whom, when and from where",
  );
  const verify = addControlOptions(new Command("verify"))
    .description("check that no row was changed, taken out or cut off; the exit code is 1 when one was")
    .addHelpText("after", VERIFY_HELP)
    .action((options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) =>
        tell(await gateway.call("audit.verify", {}), reporter),
      ),
    );
  const accept = addControlOptions(new Command("accept"))
    .description("go on after anomalies that were looked into: verify no longer fails for those of earlier starts")
    .addHelpText("after", ACCEPT_HELP)
    .action((options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) =>
        tell(await gateway.call("audit.accept", {}), reporter),
      ),
    );
  const exported = addControlOptions(new Command("export"))
    .description("print every row, one JSON object a line")
    .option("--from <row>", "from this row on", wholeNumber("--from", 1))
    .addHelpText("after", EXPORT_HELP)
    .action((options: ExportOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        for await (const row of gateway.stream(
          "audit.export",
          options.from === undefined ? {} : { from: options.from },
        )) {
          const { time, seq, ...rest } = row;
          await reporter.line(
            jsonLine({ time: new Date(time).toISOString(), event: "audit", seq, ...rest, device: row.device ?? null }),
          );
        }
        return 0;
      }),
    );
  return command.addCommand(verify).addCommand(exported).addCommand(accept);
}

async function tell(verdict: AuditVerdict, reporter: Reporter): Promise<ExitCode> {
  await reporter.event({ event: "verdict", ...verdict });
  return verdict.ok ? 0 : 1;
}

const VERIFY_HELP = `
Each row carries a MAC over itself and the row before, under a key from the master secret. Where the chain ends is kept in a second place, the file
audit.head in the data directory: keep a copy of it elsewhere, and a chain that was cut off together with that file shows, too.

Examples:
  $ usmp audit verify
  $ usmp audit verify --json | jq .ok`;

const ACCEPT_HELP = `
Examples:
  $ usmp audit accept                  once it is known what happened`;

const EXPORT_HELP = `
Examples:
  $ usmp audit export > audit.jsonl
  $ usmp audit export --from 1200 | jq -r 'select(.action == "device.revoke") | .time + " " + .device + " by " + .who'`;
