import type { ControlMethods } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { usage } from "../failure.ts";
import { wholeNumber } from "../options.ts";
import { display, jsonLine } from "../printable.ts";
import { localTime } from "../render.ts";
import type { CommandContext } from "./context.ts";

interface LogsOptions extends ControlOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly limit?: number;
}

type LogLine = ControlMethods["message.log"]["item"];

export function logsCommand(context: CommandContext): Command {
  const command = new Command("logs")
    .description("show the messages from and to devices that the gateway has stored, the oldest first")
    .argument("[id]", "messages of this device alone")
    .option("--follow", "go on with those to come, until a signal ends it")
    .option("--since <when>", "not older: 10m, 2h, 7d ago, or a time such as 2026-11-24T12:00:00Z")
    .option(
      "--limit <n>",
      "at most so many stored ones: the newest, or with --since the first",
      wholeNumber("--limit", 1),
    );
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: LogsOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const since = options.since === undefined ? undefined : sinceOf(options.since, Date.now());
        const params = {
          ...(id === undefined ? {} : { id }),
          ...(since === undefined ? {} : { since }),
          ...(options.limit === undefined ? {} : { limit: options.limit }),
          ...(options.follow === undefined ? {} : { follow: options.follow }),
        };
        const { signal } = context.environment;
        const lines = gateway.stream("message.log", params)[Symbol.asyncIterator]();
        try {
          for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
            await reporter.line(options.json ? jsonLine(next.value) : describeLine(next.value));
          }
        } catch (error) {
          // Whoever interrupts has seen what there was to see.
          if (!signal.aborted) throw error;
        }
        return 0;
      }),
    );
}

function describeLine(line: LogLine): string {
  if ("dropped" in line) return `(${line.dropped} messages are left out, because this output was not taken)`;
  const { device, direction, time, data, state } = line;
  const text = display(Buffer.from(data, "base64"));
  return `${localTime(time)} ${device} ${direction === "in" ? "<" : ">"} ${text}${state === undefined ? "" : ` (${state})`}`;
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** RFC 3339. Throws CommandError "usage". */
function sinceOf(given: string, now: number): string {
  const [, count, unit = ""] = /^(\d{1,9})([smhd])$/.exec(given) ?? [];
  const time = count === undefined ? Date.parse(given) : now - Number(count) * (UNITS[unit] as number);
  if (Number.isFinite(time) && (count !== undefined || /^\d{4}-\d\d-\d\d/.test(given))) {
    return new Date(Math.max(0, time)).toISOString();
  }
  throw usage(`--since ${JSON.stringify(given)}: write 30s, 10m, 2h, 7d, or a time such as 2026-11-24T12:00:00Z`);
}

const HELP = `
Examples:
  $ usmp logs                                          all that is stored
  $ usmp logs 7a:d3:e6:a9:9b:17 --follow --limit 10    the last ten of this device, and those to come
  $ usmp logs --since 10m --json | jq -r .text`;
