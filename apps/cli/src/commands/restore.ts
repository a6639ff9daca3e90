import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import type { BackupOpener, RestorePlan } from "@usmp/gateway";
import { Command, Option } from "commander";
import { dataDirectory, dataOption } from "../data-directory.ts";
import type { Environment, ExitCode } from "../environment.ts";
import { usage } from "../failure.ts";
import { readKeyFile } from "../key-source.ts";
import { addMasterOptions, type MasterOptions, masterSource } from "../master-source.ts";
import { addJsonOption } from "../options.ts";
import { askPassphrase } from "../passphrase.ts";
import type { Reporter, ReportOptions } from "../reporter.ts";
import type { CommandContext } from "./context.ts";

interface RestoreOptions extends ReportOptions, MasterOptions {
  readonly data?: string;
  readonly database?: string;
  readonly identity?: string;
  readonly audit?: string;
  readonly yes?: boolean;
}

export function restoreCommand({ environment, perform }: CommandContext): Command {
  const command = addMasterOptions(
    new Command("restore")
      .description("bring a backup's devices and keys back, on a new host or onto what is there; asks first")
      .argument("<file>", "the backup")
      .addOption(dataOption())
      .option("--database <url>", "postgres://… instead of SQLite in the data directory"),
  )
    .addOption(new Option("--identity <file>", "the age identity that opens it, when it is sealed to a recipient"))
    .option("--audit <file>", "an export of the audit: what was revoked or rotated after the backup stays so")
    .option("--yes", "do not ask");
  return addJsonOption(command)
    .addHelpText("after", HELP)
    .action((file: string, options: RestoreOptions) =>
      perform(options, (reporter) => restore(file, options, environment, reporter)),
    );
}

async function restore(
  file: string,
  options: RestoreOptions,
  environment: Environment,
  reporter: Reporter,
): Promise<ExitCode> {
  const { parseAuditExport, prepareRestore, sealKind } = await import("@usmp/gateway");
  const { Secret } = await import("usmp");
  const sealed = await readFile(file);
  const directory = dataDirectory(options.data, environment.variables);
  let opener: BackupOpener;
  if (sealKind(sealed) === "age") {
    if (options.identity === undefined)
      throw usage(`${file} is sealed to an age recipient; give its identity with --identity FILE`);
    opener = { kind: "age-identity", identity: new Secret(await readKeyFile(options.identity, "--identity")) };
  } else
    opener = { kind: "passphrase", passphrase: await askPassphrase(environment, `Passphrase of ${file}: `, false) };
  const exported = options.audit === undefined ? [] : parseAuditExport(await readFile(options.audit, "utf8"));
  const target = {
    dataDirectory: directory,
    database: options.database,
    master: masterSource(options, directory),
    surroundings: {
      variables: environment.variables as Record<string, string | undefined>,
      askPassphrase: (what: string, confirm: boolean) => askPassphrase(environment, what, confirm),
    },
  };
  const prepared = await prepareRestore(sealed, opener, target, exported);
  await show(prepared.plan, reporter);
  if (!(options.yes ?? false) && !(await agreed(environment))) {
    await reporter.event({ event: "restored", data: directory, devices: 0, done: false });
    return 1;
  }
  const plan = await prepared.apply({ who: `uid ${userInfo().uid} (${userInfo().username})`, from: "usmp restore" });
  const devices = plan.ontoNothing ? plan.devices : plan.changes.filter(({ change }) => change === "restored").length;
  await reporter.event({ event: "restored", data: directory, devices, done: true });
  return 0;
}

async function show({ changes, ...plan }: RestorePlan, reporter: Reporter): Promise<void> {
  await reporter.event({ event: "restore", ...plan });
  for (const change of changes) await reporter.event({ event: "change", ...change });
}

/** Only a plain yes is one; without a terminal nobody can say it. */
async function agreed(environment: Environment): Promise<boolean> {
  if (!environment.stdin.isTTY) throw usage("there is no terminal to ask on: --yes restores what was listed");
  environment.stderr.write("Restore this? [y/N] ");
  const answer = await environment.lines.next();
  return answer !== undefined && /^(y|yes)$/i.test(Buffer.from(answer).toString("utf8").trim());
}

const HELP = `
Onto an empty data directory everything of the backup comes back: the same master secret, devices, keys and audit, and devices connect with no change.
What was revoked after the backup was made is good again then, unless --audit gives an export of the audit that goes on to that moment. Onto a data directory in use (with no gateway running) the higher
generation wins, and what was revoked or deleted since stays so.

Examples:
  $ usmp restore fleet.backup
  $ usmp restore fleet.backup --audit audit.jsonl       and what was done since, as "usmp audit export" printed it
  $ usmp restore fleet.backup --data /srv/usmp --identity key.txt --yes`;
