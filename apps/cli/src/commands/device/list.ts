import type { DeviceView } from "@usmp/gateway";
import { Command, Option } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../../control-command.ts";
import { escapeUnprintable } from "../../printable.ts";
import { localTime } from "../../render.ts";
import type { CommandContext } from "../context.ts";

interface ListOptions extends ControlOptions {
  readonly tag?: string;
  readonly state?: string;
}

export function listCommands(context: CommandContext): Command[] {
  return [listCommand(context), showCommand(context), seenCommand(context)];
}

function listCommand(context: CommandContext): Command {
  const command = new Command("list")
    .description("list the devices")
    .option("--tag <tag>", "those with this tag alone")
    .addOption(
      new Option("--state <state>", "those in this state alone").choices([
        "active",
        "rotating",
        "suspended",
        "revoked",
      ]),
    );
  return addControlOptions(command)
    .addHelpText("after", LIST_HELP)
    .action((options: ListOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const { tag, state } = options;
        const wanted = { ...(tag === undefined ? {} : { tag }), ...(state === undefined ? {} : { state }) };
        let count = 0;
        for await (const device of gateway.stream("device.list", wanted)) {
          if (!options.json && count === 0)
            await reporter.line(row(["id", "state", "online", "key", "last seen", "name and tags"]));
          count++;
          if (options.json) await reporter.event({ event: "device", ...device });
          else await reporter.line(deviceRow(device));
        }
        if (count === 0 && !options.json) await reporter.line('no devices; "usmp device add" enrols one');
        return 0;
      }),
    );
}

function showCommand(context: CommandContext): Command {
  const command = new Command("show").description("show one device").argument("<id>");
  return addControlOptions(command)
    .addHelpText("after", SHOW_HELP)
    .action((id: string, options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const device = await gateway.call("device.show", { id });
        if (options.json) await reporter.event({ event: "device", ...device });
        else for (const line of describeDevice(device)) await reporter.line(line);
        return 0;
      }),
    );
}

function seenCommand(context: CommandContext): Command {
  const command = new Command("seen").description(
    "list ids that tried to connect and are not enrolled: claimed, not proven",
  );
  return addControlOptions(command)
    .addHelpText("after", SEEN_HELP)
    .action((options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        let count = 0;
        for await (const seen of gateway.stream("device.seen", {})) {
          count++;
          const { id, transport, source, lastSeenAt, attempts } = seen;
          if (options.json) await reporter.event({ event: "seen", ...seen });
          else
            await reporter.line(
              `${id}  ${transport} from ${source}, ${attempts} times, last ${localTime(lastSeenAt)}; usmp device add ${id}`,
            );
        }
        if (count === 0 && !options.json)
          await reporter.line("nobody who is not enrolled has tried in the last 24 hours");
        return 0;
      }),
    );
}

const WIDTHS: readonly number[] = [17, 9, 6, 11, 19];

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0))
    .join("  ")
    .trimEnd();
}

function deviceRow(device: DeviceView): string {
  const { id, state, online, transport, lastSeenAt, name, tags } = device;
  return row([
    id,
    state,
    online ? (transport ?? "yes") : "-",
    keyColumn(device),
    lastSeenAt === null ? "never" : localTime(lastSeenAt),
    escapeUnprintable([name ?? "", ...tags.map((tag) => `#${tag}`)].filter((text) => text !== "").join(" ")),
  ]);
}

/** "3", or "3 (uses 2)" while a device still has the key before, or "3 (unused)" when it never proved one. */
function keyColumn({ generation, provenGeneration }: DeviceView): string {
  if (generation === null) return "-";
  if (provenGeneration === null) return `${generation} (unused)`;
  return provenGeneration === generation ? String(generation) : `${generation} (uses ${provenGeneration})`;
}

export function describeDevice(device: DeviceView): readonly string[] {
  const {
    id,
    name,
    tags,
    state,
    origin,
    previousGeneration,
    graceEndsAt,
    addedAt,
    lastSeenAt,
    online,
    transport,
    peer,
  } = device;
  const lines: readonly (readonly [string, string])[] = [
    ["id", id],
    ["name", name ?? "-"],
    ["tags", tags.length === 0 ? "-" : tags.join(" ")],
    ["state", state],
    ["key", `${keyColumn(device)}${origin === null ? "" : `, ${origin}`}`],
    ...(previousGeneration === null || graceEndsAt === null
      ? []
      : ([
          [
            "old key",
            `generation ${previousGeneration}, good until the new one is proven or ${localTime(graceEndsAt)}`,
          ],
        ] as const)),
    ["added", localTime(addedAt)],
    ["last seen", lastSeenAt === null ? "never" : localTime(lastSeenAt)],
    ["online", online ? `${transport} from ${peer}` : "no"],
  ];
  return lines.map(([label, value]) => `${label.padEnd(10)} ${escapeUnprintable(value)}`);
}

const LIST_HELP = `
Examples:
  $ usmp device list
  $ usmp device list --tag garden
  $ usmp device list --json | jq -r 'select(.provenGeneration != .generation).id'    who still uses an old key`;

const SHOW_HELP = `
Examples:
  $ usmp device show 7a:d3:e6:a9:9b:17`;

const SEEN_HELP = `
Examples:
  $ usmp device seen                                       enrol one with usmp device add ID`;
