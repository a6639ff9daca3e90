import type { Configuration, Configured } from "./configuration.ts";
import type { Setting } from "./setting.ts";
import { SETTING_NAMES, SETTINGS } from "./settings.ts";
import type { Origin } from "./sources.ts";

/** gateway --print-config: one setting. */
export interface SettingEvent {
  readonly event: "setting";
  readonly name: string;
  /** As it may be written in the file, without what must not be shown; null when it is not set. */
  readonly value: string | null;
  readonly origin: Origin;
  /** The file and line, the variable or the flag; null of a default. */
  readonly place: string | null;
}

export function settingEvents(configuration: Configuration): SettingEvent[] {
  return SETTING_NAMES.map((name) => {
    const { value, origin, place } = configuration[name] as Configured<unknown>;
    const { kind } = SETTINGS[name] as Setting<unknown>;
    const printed = value === undefined ? null : kind.print(value);
    return { event: "setting", name, value: printed, origin, place: place ?? null };
  });
}

/** A line of YAML, that a file may have as it stands. */
export function settingLine({ name, value, origin, place }: SettingEvent): string {
  const line = value === null ? `# ${name}:` : `${name}: ${value}`;
  return `${line.padEnd(COMMENT_COLUMN)} # ${place ?? origin}`;
}

const COMMENT_COLUMN = 44;
