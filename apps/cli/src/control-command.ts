import type { ControlClient } from "@usmp/gateway";
import { type Command, Option } from "commander";
import type { CommandContext } from "./commands/context.ts";
import { dataDirectory, dataOption } from "./data-directory.ts";
import type { ExitCode } from "./environment.ts";
import { addJsonOption } from "./options.ts";
import { packageVersion } from "./version.ts";
import type { Reporter, ReportOptions } from "./reporter.ts";

/** Options of every command that speaks to a running gateway. */
export interface ControlOptions extends ReportOptions {
  readonly data?: string;
}

export function addControlOptions(command: Command): Command {
  return addJsonOption(command.addOption(dataOption()));
}

export const allowWeakOption = (): Option => new Option("--allow-weak", "let a short or guessable key in");

/** Runs the work of a command on the gateway of its data directory. While that is in development mode, every command says so.
 * What was asked for in a wrong way is refused by `checkOptions` first, whether or not a gateway runs. */
export function withGateway(
  { environment, perform }: CommandContext,
  options: ControlOptions,
  work: (gateway: ControlClient, reporter: Reporter) => Promise<ExitCode>,
  checkOptions: () => void = () => {},
): Promise<void> {
  return perform(options, async (reporter) => {
    checkOptions();
    const { connectControl } = await import("@usmp/gateway");
    const gateway = await connectControl(dataDirectory(options.data, environment.variables));
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
