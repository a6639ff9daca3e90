import { type Command, Option } from "commander";
import { flagOf, GROUPS } from "./setting.ts";
import { SETTING_NAMES, SETTINGS } from "./settings.ts";

/** Gives the command a flag for each setting. Their values are taken as they are: configure() reads them as it reads the other places. */
export function addSettingOptions(command: Command): Command {
  for (const group of GROUPS) {
    for (const name of SETTING_NAMES) {
      const { kind, description, initial, unset, group: own } = SETTINGS[name];
      if (own !== group) continue;
      const option = new Option(`${flagOf(name)} ${kind.placeholder}`, `${description} (${initial ?? unset})`);
      command.addOption(option.helpGroup(`${group}:`));
    }
  }
  return command;
}

/** What was given as flags, by the settings' names. */
export function givenFlags(command: Command): ReadonlyMap<string, unknown> {
  const names = new Map(SETTING_NAMES.map((name) => [flagOf(name), name]));
  return new Map(
    command.options.flatMap((option) => {
      const name = names.get(option.long as never);
      return name === undefined ? [] : [[name, command.getOptionValue(option.attributeName())] as const];
    }),
  );
}
