import type { ControlClient } from "@usmp/gateway";
import { type Command, Option } from "commander";
import type { CommandContext } from "./commands/context.ts";
import { dataDirectory, dataOption } from "./data-directory.ts";
import type { Environment, ExitCode } from "./environment.ts";
import { usage } from "./failure.ts";
import { addJsonOption } from "./options.ts";
import type { Reporter, ReportOptions } from "./reporter.ts";
import { packageVersion } from "./version.ts";

/** Options of every command that speaks to a running gateway. */
export interface ControlOptions extends ReportOptions {
  readonly data?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly insecure?: boolean;
}

export function addControlOptions(command: Command): Command {
  command
    .addOption(dataOption())
    .addOption(new Option("--url <url>", "a gateway elsewhere, by its HTTP API (or set USMP_URL)").conflicts("data"))
    .addOption(new Option("--token-file <file>", "a file of mode 0600 with a token for it (or set USMP_TOKEN_FILE)"))
    .addOption(
      new Option("--ca-file <file>", "certificates that are trusted beside the usual ones (or set USMP_CA_FILE)"),
    )
    .addOption(new Option("--insecure", "let the token cross a network in the clear: something else encrypts"));
  return addJsonOption(command);
}

export const allowWeakOption = (): Option => new Option("--allow-weak", "let a short or guessable key in");

/** Runs the work of a command on the gateway of its data directory, or on one elsewhere. While that is in development mode, every command says so.
 * What was asked for in a wrong way is refused by `checkOptions` first, whether or not a gateway runs. */
export function withGateway(
  { environment, perform }: CommandContext,
  options: ControlOptions,
  work: (gateway: ControlClient, reporter: Reporter) => Promise<ExitCode>,
  checkOptions: () => void = () => {},
): Promise<void> {
  return perform(options, async (reporter) => {
    checkOptions();
    const gateway = await connect(options, environment.variables);
    // Whoever interrupts does not wait for the gateway.
    const close = (): void => gateway.close();
    environment.signal.addEventListener("abort", close, { once: true });
    try {
      if (gateway.dev) {
        const message = "this gateway is in development mode: a device may hold the published key that everyone has";
        await reporter.aside({ event: "notice", topic: "dev", message });
      }
      const own = packageVersion();
      if (gateway.version !== own) {
        const message = `the gateway is version ${gateway.version}, and this command is ${own}; use the one that came with the gateway, or restart the gateway`;
        await reporter.aside({ event: "notice", topic: "version", message });
      }
      return await work(gateway, reporter);
    } finally {
      environment.signal.removeEventListener("abort", close);
      close();
    }
  });
}

/** A data directory that was given is meant, whatever the environment says. */
async function connect(options: ControlOptions, variables: Environment["variables"]): Promise<ControlClient> {
  const { connectControl, connectRemote } = await import("@usmp/gateway");
  const url = options.url ?? (options.data === undefined ? variables["USMP_URL"] || undefined : undefined);
  if (url === undefined) {
    const word = (["tokenFile", "caFile", "insecure"] as const).find((name) => options[name] !== undefined);
    if (word !== undefined) throw usage(`--${WORDS[word]} is for a gateway elsewhere: give its --url, too`);
    return connectControl(dataDirectory(options.data, variables));
  }
  const tokenFile = options.tokenFile ?? variables["USMP_TOKEN_FILE"];
  if (!tokenFile) throw usage("--url needs a token: give its file with --token-file FILE, or set USMP_TOKEN_FILE");
  const caFile = options.caFile ?? (variables["USMP_CA_FILE"] || undefined);
  return connectRemote({ url, tokenFile, caFile, insecure: options.insecure });
}

const WORDS = { tokenFile: "token-file", caFile: "ca-file", insecure: "insecure" } as const;
