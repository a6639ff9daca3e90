import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { jsonLine } from "../printable.ts";
import type { CommandContext } from "./context.ts";

/** A host without a battery has no time at boot: until somebody vouches for it, no grace ends. */
export function clockCommand(context: CommandContext): Command {
  const command = new Command("clock").description("the gateway's wall clock, when it is in doubt").helpCommand(false);
  const confirm = new Command("confirm").description(
    "vouch for the present time: graces and retention end by it again",
  );
  addControlOptions(confirm)
    .addHelpText("after", HELP)
    .action((options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        await gateway.call("clock.confirm", {});
        const now = context.environment.now();
        if (options.json) await reporter.line(jsonLine({ time: now.toISOString(), event: "clock-confirmed" }));
        else await reporter.line(`confirmed: it is ${now.toLocaleString()}`);
        return 0;
      }),
    );
  return command.addCommand(confirm);
}

const HELP = `
Look at the clock first (date). usmp doctor says when it is in doubt, and why.

Examples:
  $ usmp clock confirm`;
