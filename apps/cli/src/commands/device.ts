import { Command } from "commander";
import type { CommandContext } from "./context.ts";
import { addDeviceCommand } from "./device/add.ts";
import { changeCommands } from "./device/changes.ts";
import { listCommands } from "./device/list.ts";
import { messageCommands } from "./device/messages.ts";
import { rotateCommand } from "./device/rotate.ts";

/** Devices and their keys, over the control socket of a running gateway. */
export function deviceCommand(context: CommandContext): Command {
  const command = new Command("device")
    .description("enrol devices, change them, send to them, and see who they are")
    .helpCommand(false);
  const commands = [
    addDeviceCommand(context),
    ...listCommands(context),
    rotateCommand(context),
    ...changeCommands(context),
    ...messageCommands(context),
  ];
  for (const each of commands) command.addCommand(each);
  return command.addHelpText("after", HELP);
}

const HELP = `
Examples:
  $ usmp device add --name pump                 a new device; its id and its key are printed once
  $ usmp device list                            who is there, who is online, who has which key
  $ usmp device send 02:00:00:00:00:01 "open"   a message: delivered at once, or when the device is back
  $ usmp device rotate 02:00:00:00:00:01        a new key; the old one is good for 7 days more
  $ usmp device revoke 02:00:00:00:00:01        its session ends, its keys are dead for good`;
