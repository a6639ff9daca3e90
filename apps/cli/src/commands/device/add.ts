import type { AddParams } from "@usmp/gateway";
import { Argument, Command } from "commander";
import { addControlOptions, allowWeakOption, type ControlOptions, withGateway } from "../../control-command.ts";
import { type AddOptions, addRequests } from "../../enrolment/add-requests.ts";
import { addOutputOptions, checkOutputOptions, handOut, type OutputOptions } from "../../enrolment/outputs.ts";
import { wholeNumber } from "../../options.ts";
import type { CommandContext } from "../context.ts";

export function addDeviceCommand(context: CommandContext): Command {
  const command = new Command("add")
    .description("enrol a device: its key is handed out once")
    .addArgument(new Argument("[id]", "six bytes as aa:bb:cc:dd:ee:ff; a random one when not given"))
    .option("--name <name>", "a name for people")
    .option("--tag <tag>", "a tag; may be given several times", collect)
    .option("--count <n>", "enrol so many devices at once", wholeNumber("--count", 1))
    .option("--from-csv <file>", "enrol the devices of a table")
    .option("--key-file <file>", "the key that the device holds already")
    .option("--batch <name>", "the device has a key that its factory made with the key of this batch")
    .addOption(allowWeakOption());
  return addControlOptions(addOutputOptions(command))
    .addHelpText("after", HELP)
    .action((id: string | undefined, options: AddOptions & OutputOptions & ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const devices = await addRequests(id, options);
        await checkOutputOptions(
          options,
          devices.length,
          devices.flatMap((device) => device.id ?? []),
        );
        const status = await gateway.call("gateway.status", {});
        for (const some of requestsOf(devices)) {
          const { devices: enrolled } = await gateway.call("device.add", { devices: some });
          await handOut(enrolled, options, status, { environment: context.environment, reporter });
        }
        return 0;
      }),
    );
}

/** A request of the HTTP API has at most 64 KiB. */
const BYTES_A_REQUEST = 57_344;
const DEVICES_A_REQUEST = 1_000;

/** All or none of one are enrolled, and their keys handed out before the next. */
function* requestsOf(devices: readonly AddParams[]): Generator<readonly AddParams[]> {
  let some: AddParams[] = [];
  let bytes = 0;
  for (const device of devices) {
    const more = Buffer.byteLength(JSON.stringify(device)) + 1;
    if (some.length === DEVICES_A_REQUEST || (some.length > 0 && bytes + more > BYTES_A_REQUEST)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(device);
    bytes += more;
  }
  yield some;
}

function collect(tag: string, before: readonly string[] = []): readonly string[] {
  return [...before, tag];
}

const HELP = `
Examples:
  $ usmp device add                                        a device with a random id
  $ usmp device add 7a:d3:e6:a9:9b:17 --name pump --tag garden
  $ usmp device add --name pump --snippet python           and a program for it
  $ usmp device add --count 20 --name sensor --json        20 devices, one a line
  $ usmp device add --from-csv macs.csv --nvs images       ESP32s by their MAC addresses, and input for their NVS images
  $ usmp device add 7a:d3:e6:a9:9b:17 --key-file old.key   a key that was brought along`;
