import type { Given } from "./kind.ts";

/** Where a value came from, the weakest first. */
export type Origin = "default" | "file" | "variable" | "flag";

export interface Found {
  readonly origin: Origin;
  readonly place: string;
  readonly given: Given;
}

export interface ConfigurationFile {
  readonly path: string;
  /** Names that are no setting's. */
  readonly problems: readonly Error[];
  find(name: string): Found | undefined;
}

export interface Sources {
  /** What was given as flags, by the setting's name; text, or true. */
  readonly flags: ReadonlyMap<string, unknown>;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigurationFile | undefined;
  /** Where relative paths of flags and variables begin. */
  readonly currentDirectory: string;
}
