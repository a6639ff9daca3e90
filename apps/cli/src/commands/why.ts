import type { RefusalView } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { wholeNumber } from "../options.ts";
import { escapeUnprintable, jsonLine } from "../printable.ts";
import { localTime } from "../render.ts";
import { shellWord } from "../shell-word.ts";
import type { CommandContext } from "./context.ts";

interface WhyOptions extends ControlOptions {
  readonly limit: number;
}

export function whyCommand(context: CommandContext): Command {
  const command = new Command("why")
    .description("say why devices were refused, the latest first")
    .argument("[id]", "attempts that claimed this device id alone")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", 1), 50);
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: WhyOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        let count = 0;
        for await (const refusal of gateway.stream("why", {
          limit: options.limit,
          ...(id === undefined ? {} : { id }),
        })) {
          // The time is the attempt's own, not that of this line.
          const here = { ...refusal, fix: refusal.fix.map((line) => forDirectory(line, options.data)) };
          if (options.json) await reporter.line(jsonLine({ event: "refusal", ...here }));
          else for (const line of describeRefusal(here, count > 0)) await reporter.line(escapeUnprintable(line));
          count++;
        }
        if (count === 0 && !options.json)
          await reporter.line(`no refused attempt is known${id === undefined ? "" : ` of ${id}`}`);
        return 0;
      }),
    );
}

/** A command of ours as it works here: with the data directory that this one was given. */
function forDirectory(line: string, data: string | undefined): string {
  return data === undefined || !line.startsWith("usmp ") ? line : `${line} --data ${shellWord(data)}`;
}

function describeRefusal(refusal: RefusalView, apart: boolean): readonly string[] {
  const { cause, says, evidence, fix, time, count, transport, peer } = refusal;
  return [
    ...(apart ? [""] : []),
    `${cause}: ${says}`,
    `  ${localTime(time)}, ${transport} from ${peer}${count === 1 ? "" : `, ${count} times within a minute`}`,
    ...evidence.map((line) => `  because ${line}`),
    ...fix.map((line) => `  fix: ${line}`),
  ];
}

const HELP = `
Examples:
  $ usmp why                                    every device, the latest attempt first
  $ usmp why 7a:d3:e6:a9:9b:17 --limit 1        what is wrong with this one
  $ usmp why --json | jq -r .cause`;
