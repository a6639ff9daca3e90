import type { Kind } from "./kind.ts";

/** Headings of --help and docs/configuration.md, in their order. */
export const GROUPS = [
  "Where it listens and keeps its data",
  "Where the master secret is",
  "Messages",
  "The HTTP API",
  "Sinks",
  "Operation",
  "Limits",
] as const;

/** One setting of the gateway. Its name is the flag's (--queue-ttl), the variable's (USMP_QUEUE_TTL) and the file's (queue-ttl:). */
export interface Setting<T> {
  readonly group: (typeof GROUPS)[number];
  readonly kind: Kind<Exclude<T, undefined>>;
  /** As it would be written. undefined: not set, and `unset` says what that means. */
  readonly initial: string | undefined;
  readonly unset?: string;
  readonly description: string;
  /** The file may not have it: it says where the file is. */
  readonly notInFile?: true;
  /** Of those with the same word only one may be set, and one that is set more directly takes the others' place. */
  readonly exclusive?: string;
}

export function flagOf(name: string): string {
  return `--${name}`;
}

export function variableOf(name: string): string {
  return `USMP_${name.toUpperCase().replaceAll("-", "_")}`;
}
