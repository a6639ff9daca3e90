import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { jsonLine } from "../printable.ts";
import type { CommandContext } from "./context.ts";

/** A key for a factory: it makes the keys of one batch's devices, and of no other. */
export function factoryKeyCommand(context: CommandContext): Command {
  const { stdout, now } = context.environment;
  const command = new Command("factory-key")
    .description("print the key with which a factory makes the keys of one batch of devices")
    .argument("<batch>", "its name: letters, digits and . _ : -");
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((batch: string, options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const answer = await gateway.call("factory-key", { batch });
        if (options.json) {
          await reporter.line(jsonLine({ time: now().toISOString(), event: "factory-key", ...answer }));
          return 0;
        }
        await reporter.line(answer.key);
        if (stdout.isTTY !== true) return 0;
        await reporter.line(
          `  good for devices of batch ${batch} alone; in the factory: usmp factory-derive --key-file FILE ID…`,
        );
        await reporter.line(`  here, for each of them: usmp device add ID --batch ${batch}`);
        return 0;
      }),
    );
}

const HELP = `
The factory needs no gateway and no network: usmp factory-derive makes each device's key from this one and the device's id. Whoever has it
knows the keys of that batch, and nothing of other devices.

Examples:
  $ (umask 077; usmp factory-key 2026-11 > batch.key)
  $ usmp factory-derive --key-file batch.key 7a:d3:e6:a9:9b:17 --nvs images
  $ usmp device add 7a:d3:e6:a9:9b:17 --batch 2026-11`;
