import { Command } from "commander";
import { dataDirectory } from "../data-directory.ts";
import { addJsonOption } from "../options.ts";
import { jsonLine } from "../printable.ts";
import type { ReportOptions } from "../reporter.ts";
import type { CommandContext } from "./context.ts";

interface FactoryKeyOptions extends ReportOptions {
  readonly data?: string;
}

/** A key for a factory: it makes the keys of one batch's devices, and of no other. */
export function factoryKeyCommand({ environment, perform }: CommandContext): Command {
  const command = new Command("factory-key")
    .description("print the key with which a factory makes the keys of one batch of devices")
    .argument("<batch>", "its name: letters, digits and . _ : -")
    .option("--data <dir>", "the gateway's data directory (or set USMP_DATA)");
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((batch: string, options: FactoryKeyOptions) =>
      perform(options, async (reporter) => {
        const { connectControl } = await import("@usmp/gateway");
        const control = await connectControl(dataDirectory(options.data, environment.variables));
        try {
          const answer = await control.call("factory-key", { batch });
          if (options.json) {
            await reporter.line(jsonLine({ time: environment.now().toISOString(), event: "factory-key", ...answer }));
            return 0;
          }
          await reporter.line(answer.key);
          if (environment.stdout.isTTY !== true) return 0;
          await reporter.line(
            `  good for devices of batch ${batch} alone; in the factory: usmp factory-derive --key-file FILE ID…`,
          );
          await reporter.line(`  here, for each of them:           usmp device add ID --batch ${batch}`);
          return 0;
        } finally {
          control.close();
        }
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
