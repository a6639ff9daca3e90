import type { EnrolledDevice } from "@usmp/gateway";
import { Command } from "commander";
import { addRequests } from "../enrolment/add-requests.ts";
import { addOutputOptions, checkOutputOptions, handOut, type OutputOptions } from "../enrolment/outputs.ts";
import { usage } from "../failure.ts";
import { loadKey } from "../key-source.ts";
import { addJsonOption, wholeNumber } from "../options.ts";
import type { CommandContext } from "./context.ts";

interface FactoryDeriveOptions extends OutputOptions {
  readonly keyFile: string;
  readonly fromCsv?: string;
  readonly generation: number;
}

/** What a factory runs: device keys from a batch's key, without a gateway. */
export function factoryDeriveCommand({ environment, perform }: CommandContext): Command {
  const command = addOutputOptions(new Command("factory-derive"))
    .description("in the factory: make the keys of devices from their batch's key")
    .argument("[ids...]", "device ids")
    .requiredOption("--key-file <file>", "what usmp factory-key printed")
    .option("--from-csv <file>", "take the ids from a table")
    .option(
      "--generation <n>",
      "more than 1 when a device was deleted and comes again",
      wholeNumber("--generation", 1),
      1,
    );
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((ids: readonly string[], options: FactoryDeriveOptions) =>
      perform(options, async (reporter) => {
        const wanted = await deviceIds(ids, options.fromCsv);
        await checkOutputOptions(options, wanted.length, wanted);
        const { deriveKey } = await import("@usmp/gateway");
        const { psk: batchKey } = await loadKey({ pskFile: options.keyFile }, environment);
        try {
          const devices = wanted.map((id): EnrolledDevice => {
            using key = deriveKey(batchKey, id, options.generation);
            return { id, name: null, psk: Buffer.from(key.expose()).toString("hex"), generation: options.generation };
          });
          await handOut(devices, options, { addresses: [] }, { environment, reporter });
          return 0;
        } finally {
          batchKey.wipe();
        }
      }),
    );
}

async function deviceIds(ids: readonly string[], fromCsv: string | undefined): Promise<readonly string[]> {
  if ((ids.length === 0) === (fromCsv === undefined)) throw usage("give device ids, or --from-csv FILE");
  const requests =
    fromCsv === undefined
      ? (await Promise.all(ids.map((id) => addRequests(id, {})))).flat()
      : await addRequests(undefined, { fromCsv });
  return requests.map(({ id, key }) => {
    if (id === undefined || key !== undefined)
      throw usage(`--from-csv ${fromCsv}: each device needs its id, and no key`);
    return id;
  });
}

const HELP = `
The key is HKDF-SHA256 of the batch's key, the device id and the generation: docs/keys.md has the formula and vectors.

Examples:
  $ usmp factory-derive --key-file batch.key 7a:d3:e6:a9:9b:17 --nvs images
  $ usmp factory-derive --key-file batch.key --from-csv ids.csv --nvs images --json`;
