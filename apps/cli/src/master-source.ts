import { join, resolve } from "node:path";
import type { MasterSource } from "@usmp/gateway";
import { type Command, Option } from "commander";

/** Where the master secret is; without any of them: the file master in the data directory. */
export interface MasterOptions {
  readonly masterFile?: string;
  readonly masterSealed?: string;
  readonly masterVariable?: string;
  readonly masterCommand?: string;
}

const ATTRIBUTES = ["masterFile", "masterSealed", "masterVariable", "masterCommand"];

export function addMasterOptions(command: Command): Command {
  const add = (flags: string, description: string): void => {
    const option = new Option(flags, description);
    command.addOption(option.conflicts(ATTRIBUTES.filter((name) => name !== option.attributeName())));
  };
  add("--master-file <file>", "the master secret, 64 hex digits, mode 0600; default: master in the data directory");
  add("--master-sealed <file>", "the master secret sealed with a passphrase, which is asked for at each start");
  add("--master-variable <name>", "an environment variable that holds the master secret");
  add("--master-command <command>", "a command that prints the master secret: a KMS, a hardware token");
  return command;
}

export function masterSource(options: MasterOptions, directory: string): MasterSource {
  const { masterFile, masterSealed, masterVariable, masterCommand } = options;
  if (masterSealed !== undefined) return { kind: "sealed-file", path: resolve(masterSealed) };
  if (masterVariable !== undefined) return { kind: "variable", name: masterVariable };
  // No shell: words are what stands between blanks.
  if (masterCommand !== undefined)
    return { kind: "command", words: masterCommand.split(/\s+/).filter((word) => word !== "") };
  return { kind: "file", path: masterFile === undefined ? join(directory, "master") : resolve(masterFile) };
}
