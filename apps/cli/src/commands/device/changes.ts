import type { ControlClient, DeviceView } from "@usmp/gateway";
import { Command } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../../control-command.ts";
import { usage } from "../../failure.ts";
import type { CommandContext } from "../context.ts";
import { describeDevice } from "./list.ts";

/** Commands that change one device and then show it. */
export function changeCommands(context: CommandContext): Command[] {
  return [
    change(context, "suspend", "refuse a device until it is resumed; its session ends", (gateway, id) =>
      gateway.call("device.suspend", { id }),
    ),
    change(context, "resume", "let a suspended device in again", (gateway, id) =>
      gateway.call("device.resume", { id }),
    ),
    change(context, "revoke", "refuse a device for good: its session ends, and its keys are dead", (gateway, id) =>
      gateway.call("device.revoke", { id }).then(({ sessionsEnded: _, ...device }) => device),
    ),
    renameCommand(context),
    tagCommand(context),
    deleteCommand(context),
  ];
}

function change(
  context: CommandContext,
  name: string,
  description: string,
  work: (gateway: ControlClient, id: string) => Promise<DeviceView>,
): Command {
  return addControlOptions(new Command(name).description(description).argument("<id>"))
    .addHelpText("after", `\nExamples:\n  $ usmp device ${name} 7a:d3:e6:a9:9b:17`)
    .action((id: string, options: ControlOptions) => show(context, options, (gateway) => work(gateway, id)));
}

function renameCommand(context: CommandContext): Command {
  const command = new Command("rename")
    .description("give a device another name, or none")
    .argument("<id>")
    .argument("[name]");
  return addControlOptions(command)
    .addHelpText("after", '\nExamples:\n  $ usmp device rename 7a:d3:e6:a9:9b:17 "pump in the garden"')
    .action((id: string, name: string | undefined, options: ControlOptions) =>
      show(context, options, (gateway) => gateway.call("device.rename", { id, name: name ?? null })),
    );
}

function tagCommand(context: CommandContext): Command {
  const command = new Command("tag")
    .description("put tags on a device, or take them off with a minus behind")
    .argument("<id>")
    .argument("<tags...>", "tag to put on, tag- to take off");
  return addControlOptions(command)
    .addHelpText("after", "\nExamples:\n  $ usmp device tag 7a:d3:e6:a9:9b:17 garden water-")
    .action((id: string, tags: readonly string[], options: ControlOptions) =>
      show(context, options, (gateway) => {
        const remove = tags.filter((tag) => tag.endsWith("-")).map((tag) => tag.slice(0, -1));
        const add = tags.filter((tag) => !tag.endsWith("-"));
        const both = add.find((tag) => remove.includes(tag));
        if (both !== undefined) throw usage(`tag ${both} is to be put on and taken off; decide`);
        return gateway.call("device.tag", { id, add, remove });
      }),
    );
}

function deleteCommand(context: CommandContext): Command {
  const command = new Command("delete")
    .description("forget a device; its keys stay dead, also when it is added again")
    .argument("<id>");
  return addControlOptions(command)
    .addHelpText("after", "\nExamples:\n  $ usmp device delete 7a:d3:e6:a9:9b:17")
    .action((id: string, options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const deleted = await gateway.call("device.delete", { id });
        if (options.json) await reporter.event({ event: "deleted", ...deleted });
        else await reporter.line(`${deleted.id} is deleted; keys up to generation ${deleted.generation} stay dead`);
        return 0;
      }),
    );
}

function show(
  context: CommandContext,
  options: ControlOptions,
  work: (gateway: ControlClient) => Promise<DeviceView>,
): Promise<void> {
  return withGateway(context, options, async (gateway, reporter) => {
    const device = await work(gateway);
    if (options.json) await reporter.event({ event: "device", ...device });
    else for (const line of describeDevice(device)) await reporter.line(line);
    return 0;
  });
}
