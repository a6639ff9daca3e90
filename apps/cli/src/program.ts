import { Command, CommanderError } from "commander";
import { auditCommand } from "./commands/audit.ts";
import { backupCommand } from "./commands/backup.ts";
import { clockCommand } from "./commands/clock.ts";
import { connectCommand } from "./commands/connect.ts";
import type { CommandContext } from "./commands/context.ts";
import { deviceCommand } from "./commands/device.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { factoryDeriveCommand } from "./commands/factory-derive.ts";
import { factoryKeyCommand } from "./commands/factory-key.ts";
import { gatewayCommand } from "./commands/gateway.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { keygenCommand } from "./commands/keygen.ts";
import { masterCommand } from "./commands/master.ts";
import { monitorCommand } from "./commands/monitor.ts";
import { restoreCommand } from "./commands/restore.ts";
import { sendCommand } from "./commands/send.ts";
import { serveCommand } from "./commands/serve.ts";
import { serviceCommand } from "./commands/service.ts";
import { tokenCommand } from "./commands/token.ts";
import { whyCommand } from "./commands/why.ts";
import type { Environment, ExitCode } from "./environment.ts";
import { failureOf, usage } from "./failure.ts";
import { Reporter } from "./reporter.ts";
import { packageVersion } from "./version.ts";

/** Runs the program with the words behind its name. Everything that goes wrong is reported here; nothing is thrown. */
export async function run(words: readonly string[], environment: Environment): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  // Options that cannot be parsed never reach a command, and its errors are objects all the same.
  const json = words.includes("--json");
  const context: CommandContext = {
    environment,
    async perform(options, work) {
      const reporter = new Reporter(environment, options);
      try {
        exitCode = await work(reporter);
      } catch (error) {
        const failure = failureOf(error);
        exitCode = failure.exitCode;
        await reporter.error(failure);
      }
    },
  };
  const program = createProgram(context, { printsErrors: !json });
  try {
    await program.parseAsync(words, { from: "user" });
    return exitCode;
  } catch (error) {
    // commander ends help and --version that way too, with exit code 0; and without --json it has printed what it throws.
    if (error instanceof CommanderError && (error.exitCode === 0 || !json)) return error.exitCode === 0 ? 0 : 2;
    const failure = failureOf(error instanceof CommanderError ? usage(problemOf(error)) : error);
    await new Reporter(environment, { json }).error(failure);
    return failure.exitCode;
  }
}

/** The whole command line: its definition is what help prints and what docs/cli.md is held to. */
export function createProgram(
  context: CommandContext,
  { printsErrors = true }: { readonly printsErrors?: boolean } = {},
): Command {
  const { stdout, stderr } = context.environment;
  const program = new Command("usmp")
    .description("USMP version 2: encrypted sessions with devices that share a key with you, over TCP and UDP")
    .version(packageVersion(), "--version", "print the version")
    .helpOption("--help", "print help")
    .helpCommand(false)
    .addHelpText("after", HELP);
  const commands = [
    gatewayCommand(context),
    deviceCommand(context),
    whyCommand(context),
    monitorCommand(context),
    keygenCommand(context),
    serveCommand(context),
    connectCommand(context),
    sendCommand(context),
    inspectCommand(context),
    doctorCommand(context),
    factoryKeyCommand(context),
    factoryDeriveCommand(context),
    clockCommand(context),
    tokenCommand(context),
    masterCommand(context),
    auditCommand(context),
    backupCommand(context),
    restoreCommand(context),
    serviceCommand(context),
  ];
  for (const command of commands) program.addCommand(command);
  for (const { command, words } of commandsOf(program)) {
    command
      .exitOverride()
      .helpOption("--help", "print help with examples")
      .showHelpAfterError(`(${words} --help explains)`)
      .configureOutput({
        writeOut: (text) => stdout.write(text),
        writeErr: (text) => printsErrors && stderr.write(text),
        getOutHelpWidth: () => stdout.columns ?? 100,
        getErrHelpWidth: () => stderr.columns ?? 100,
      });
  }
  return program;
}

function problemOf({ code, message }: CommanderError): string {
  if (code === "commander.help") return "no command was given; usmp --help lists them";
  return `${message.replace(/^error: /, "")}; usmp COMMAND --help explains`;
}

/** A command and all below it, with the words that call them: "usmp device add". */
export function commandsOf(command: Command, before = ""): { readonly command: Command; readonly words: string }[] {
  const words = `${before}${command.name()}`;
  return [{ command, words }, ...command.commands.flatMap((each) => commandsOf(each, `${words} `))];
}

const HELP = `
A gateway with its devices:
  $ usmp gateway
  $ usmp device add --name pump
  $ usmp why

A key and two terminals:
  $ usmp keygen > key.txt
  $ usmp serve --psk-file key.txt --echo
  $ usmp connect localhost:9000 --psk-file key.txt

usmp COMMAND --help shows examples of each command. Exit codes: 0 done, 1 failed, 2 asked for in a wrong way.`;
