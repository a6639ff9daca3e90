import { open, rm } from "node:fs/promises";
import { Command, Option } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { usage } from "../failure.ts";
import { askPassphrase } from "../passphrase.ts";
import type { CommandContext } from "./context.ts";

interface BackupOptions extends ControlOptions {
  readonly recipient?: string;
}

export function backupCommand(context: CommandContext): Command {
  const command = new Command("backup")
    .description("write a sealed backup of the devices, their keys and the audit, while the gateway runs")
    .argument("<file>", "where to; it must not exist")
    .addOption(new Option("--recipient <age1>", "seal it to this age recipient, instead of with a passphrase"));
  return addControlOptions(command)
    .addHelpText("after", HELP)
    .action((file: string, options: BackupOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const { recipient } = options;
        const target = await open(file, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
          if (error.code === "EEXIST") throw usage(`${file} exists; give another name: a backup overwrites nothing`);
          throw error;
        });
        let bytes = 0;
        try {
          const sealedBy = recipient === undefined ? { passphrase: await passphraseText(context) } : { recipient };
          for await (const { data } of gateway.stream("backup", sealedBy)) {
            const piece = Buffer.from(data, "base64");
            await target.write(piece);
            bytes += piece.length;
          }
          await target.sync();
        } catch (error) {
          await rm(file, { force: true });
          throw error;
        } finally {
          await target.close();
        }
        await reporter.event({ event: "backup", file, bytes, sealed: recipient === undefined ? "passphrase" : "age" });
        return 0;
      }),
    );
}

/** Travels to the gateway as a line of JSON, over a socket that nobody else can open. */
async function passphraseText({ environment }: CommandContext): Promise<string> {
  using passphrase = await askPassphrase(environment, "Passphrase for the backup: ", true);
  return Buffer.from(passphrase.expose()).toString("utf8");
}

const HELP = `
The backup holds the master secret too, when that lies in a file of the gateway's. Whoever has the file and the passphrase has every device's key.
Without a terminal USMP_PASSPHRASE_FILE names a file that holds the passphrase.

Examples:
  $ usmp backup fleet.backup
  $ usmp backup fleet.backup --recipient age1…          opened with age's identity; "age -d" opens it, too`;
