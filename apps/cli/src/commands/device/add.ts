import type { AddParams } from "@usmp/gateway";
import { Argument, Command } from "commander";
import { addControlOptions, allowWeakOption, type ControlOptions, withGateway } from "../../control-command.ts";
import { usage } from "../../failure.ts";
import { readFileKey } from "../../key-source.ts";
import { wholeNumber } from "../../options.ts";
import type { CommandContext } from "../context.ts";
import { printEnrolment } from "./enrolment.ts";
import { readDeviceList } from "./device-list-file.ts";

interface AddOptions extends ControlOptions {
  readonly name?: string;
  readonly tag?: readonly string[];
  readonly count?: number;
  readonly fromCsv?: string;
  readonly keyFile?: string;
  readonly batch?: string;
  readonly allowWeak?: boolean;
}

export function addDeviceCommand(context: CommandContext): Command {
  const command = new Command("add")
    .description("enrol a device: its key is printed once")
    .addArgument(new Argument("[id]", "six bytes as aa:bb:cc:dd:ee:ff; a random one when not given"))
    .option("--name <name>", "a name for people")
    .option("--tag <tag>", "a tag; may be given several times", collect, [])
    .option("--count <n>", "enrol so many devices at once", wholeNumber("--count", 1))
    .option(
      "--from-csv <file>",
      "enrol the devices of a file: id,name,tags with tags separated by blanks; id may be empty",
    )
    .option("--key-file <file>", "the key that the device holds already")
    .option("--batch <name>", "the device has a key that its factory made with the key of this batch")
    .addOption(allowWeakOption());
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: AddOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const devices = await requested(id, options);
        const { devices: enrolled } = await gateway.call("device.add", { devices });
        for (const device of enrolled) await printEnrolment(device, options, reporter);
        return 0;
      }),
    );
}

function collect(tag: string, before: readonly string[]): readonly string[] {
  return [...before, tag];
}

async function requested(id: string | undefined, options: AddOptions): Promise<readonly AddParams[]> {
  const { name, tag = [], count, fromCsv, keyFile, batch, allowWeak } = options;
  const many = count !== undefined || fromCsv !== undefined;
  if (many && (id !== undefined || keyFile !== undefined)) {
    throw usage("an id or --key-file is for one device; with --count and --from-csv give neither");
  }
  if (count !== undefined && (fromCsv !== undefined || batch !== undefined)) {
    throw usage("--count makes devices with random ids; --from-csv and --batch are for devices that have one");
  }
  const shared: AddParams = { tags: tag, ...(batch === undefined ? {} : { batch }) };
  if (fromCsv !== undefined)
    return (await readDeviceList(fromCsv)).map((device) => ({ ...device, ...merged(device, shared) }));
  const named = name === undefined ? {} : { name };
  if (count !== undefined) {
    return Array.from({ length: count }, (_, number) => ({
      ...shared,
      ...(name === undefined ? {} : { name: `${name} ${number + 1}` }),
    }));
  }
  const key =
    keyFile === undefined ? {} : { key: await readFileKey(keyFile, "--key-file"), allowWeak: allowWeak ?? false };
  return [{ ...shared, ...named, ...(id === undefined ? {} : { id }), ...key }];
}

function merged(device: AddParams, shared: AddParams): AddParams {
  return { ...shared, tags: [...(device.tags ?? []), ...(shared.tags ?? [])] };
}

const HELP = `
Examples:
  $ usmp device add                                        a device with a random id
  $ usmp device add 7a:d3:e6:a9:9b:17 --name pump --tag garden
  $ usmp device add --count 20 --name sensor --json        20 devices, "sensor 1" to "sensor 20"
  $ usmp device add 7a:d3:e6:a9:9b:17 --key-file old.key   a key that was brought along`;
