import type { EnrolledDevice, MasterRotation } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { addOutputOptions, checkOutputOptions, handOut, type OutputOptions } from "../enrolment/outputs.ts";
import { duration } from "../options.ts";
import type { CommandContext } from "./context.ts";

interface RotateOptions extends ControlOptions, OutputOptions {
  readonly grace: number;
  readonly to?: string;
}

const WEEK_MS = 7 * 86_400_000;

/** The secret that every key depends on. */
export function masterCommand(context: CommandContext): Command {
  const rotate = new Command("rotate")
    .description(
      "move the fleet to a new master secret: every device gets a new key, and its old one is good meanwhile",
    )
    .option("--grace <time>", "how long old keys stay good: 12h, 30d; 7d when not given", duration("--grace"), WEEK_MS)
    .option("--to <file>", "the next master secret, mode 0600, when it comes from a variable or a command");
  addControlOptions(addOutputOptions(rotate))
    .addHelpText("after", HELP)
    .action((options: RotateOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        await checkOutputOptions(options, 2, []);
        const status = await gateway.call("gateway.status", {});
        const params = { graceMs: options.grace, ...(options.to === undefined ? {} : { to: options.to }) };
        for await (const item of gateway.stream("master.rotate", params)) {
          if (isRotation(item)) await reporter.event({ event: "master", ...shown(item.rotation) });
          else await handOut([item], options, status, { environment: context.environment, reporter });
        }
        return 0;
      }),
    );
  return new Command("master")
    .description("the master secret, on which every key of a device depends")
    .addCommand(rotate);
}

function isRotation(item: { rotation: MasterRotation } | EnrolledDevice): item is { rotation: MasterRotation } {
  return "rotation" in item;
}

function shown({
  graceEndsAt,
  ...rotation
}: MasterRotation): Omit<MasterRotation, "graceEndsAt"> & { readonly graceEndsAt: string } {
  return { ...rotation, graceEndsAt: new Date(graceEndsAt).toISOString() };
}

const HELP = `
Keys that were brought along stay as they are. Derived keys are made anew, one generation up, and handed out here: bring them to the devices before
the grace ends. The old master secret is kept, sealed under the new one, until no key depends on it.

Examples:
  $ usmp master rotate --grace 30d --json > new-keys.json
  $ usmp master rotate --to next-master.key            the gateway runs with --master-command or --master-variable`;
