import type { RotateParams } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, allowWeakOption, type ControlOptions, withGateway } from "../../control-command.ts";
import { addOutputOptions, checkOutputOptions, handOut, type OutputOptions } from "../../enrolment/outputs.ts";
import { usage } from "../../failure.ts";
import { readFileKey } from "../../key-source.ts";
import { duration } from "../../options.ts";
import type { CommandContext } from "../context.ts";

interface RotateOptions extends ControlOptions, OutputOptions {
  readonly all?: boolean;
  readonly grace?: number;
  readonly compromised?: boolean;
  readonly replace?: boolean;
  readonly keyFile?: string;
  readonly allowWeak?: boolean;
}

export function rotateCommand(context: CommandContext): Command {
  const command = new Command("rotate")
    .description("give a device a new key; the old one is good until the new one is proven, or the grace ends")
    .argument("[id]")
    .option("--all", "all devices")
    .option("--grace <time>", "how long the old key stays good: 30m, 12h, 7d (the default)", duration("--grace"))
    .option("--compromised", "no grace: the old key is dead at once, and its session is closed")
    .option("--replace", "another new key in place of one that was never proven")
    .option("--key-file <file>", "the new key, when it was brought along")
    .addOption(allowWeakOption());
  return addControlOptions(addOutputOptions(command))
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: RotateOptions) =>
      withGateway(
        context,
        options,
        async (gateway, reporter) => {
          await checkOutputOptions(options, options.all ? 2 : 1, id === undefined ? [] : [id.toLowerCase()]);
          const status = await gateway.call("gateway.status", {});
          for await (const item of gateway.stream("device.rotate", await requested(id, options))) {
            if (!("skipped" in item))
              await handOut([item], options, status, { environment: context.environment, reporter });
            else if (options.json) await reporter.event({ event: "skipped", id: item.id, reason: item.skipped });
            else await reporter.line(`${item.id} skipped: ${item.skipped}`);
          }
          return 0;
        },
        () => checkRequest(id, options),
      ),
    );
}

function checkRequest(id: string | undefined, { all = false, grace, compromised, keyFile }: RotateOptions): void {
  if (all && id !== undefined) throw usage("a device and --all are both given; give the id of one device, or --all");
  if (!all && id === undefined) throw usage("no device is named; give the id of one device, or --all");
  if (all && keyFile !== undefined) throw usage("--key-file is for one device: one key cannot be the key of all");
  if (compromised && grace !== undefined) throw usage("--compromised has no grace: leave --grace out");
}

async function requested(id: string | undefined, options: RotateOptions): Promise<RotateParams> {
  const { all = false, grace, compromised = false, replace = false, keyFile, allowWeak = false } = options;
  return {
    ...(id === undefined ? { all } : { id }),
    ...(grace === undefined ? {} : { graceMs: grace }),
    compromised,
    replace,
    ...(keyFile === undefined ? {} : { key: await readFileKey(keyFile, "--key-file"), allowWeak }),
  };
}

const HELP = `
Examples:
  $ usmp device rotate 7a:d3:e6:a9:9b:17                   the old key is good for 7 days, or until the new one is used
  $ usmp device rotate 7a:d3:e6:a9:9b:17 --compromised     the old key is dead now
  $ usmp device rotate --all --grace 30d --json > new.json every device gets a new key`;
