import type { Secret } from "@usmp/protocol";

/** Where a master secret comes from. */
export type MasterSource =
  /** A file of mode 0600; made on the first run. Default: DIR/master. */
  | { readonly kind: "file"; readonly path: string }
  /** An environment variable with 64 hex digits; taken out of the environment once read. */
  | { readonly kind: "variable"; readonly name: string }
  /** A command that prints 64 hex digits: a KMS, a hardware token. No shell. */
  | { readonly kind: "command"; readonly words: readonly string[] }
  /** A file sealed with a passphrase by Argon2id; made on the first run. */
  | { readonly kind: "sealed-file"; readonly path: string };

export interface MasterSurroundings {
  /** Usually process.env; the variable that held a master is deleted from it. */
  readonly variables: Record<string, string | undefined>;
  /** Asks a person. `confirm`: a new passphrase, to be typed twice. The answer is wiped by who asked. */
  readonly askPassphrase: ((what: string, confirm: boolean) => Promise<Secret>) | undefined;
}

/** A source in words: "file /var/lib/usmp/master". */
export function describeSource(source: MasterSource): string {
  switch (source.kind) {
    case "file":
      return `file ${source.path}`;
    case "variable":
      return `environment variable ${source.name}`;
    case "command":
      return `command ${source.words[0] ?? ""}`;
    case "sealed-file":
      return `file ${source.path}, sealed with a passphrase`;
  }
}

/** What a thief of the disk gets, in words for the first start, `doctor` and SECURITY.md; undefined: nothing by the disk alone. */
export type DiskExposure = { readonly problem: string; readonly better: string } | undefined;

/** `database` is where the registry lies: a directory of this host, or another host. */
export function diskExposure(source: MasterSource, database: "this-host" | "another-host"): DiskExposure {
  if (source.kind !== "file") return undefined;
  const better =
    "keep the master secret elsewhere: --master-sealed FILE (asks for a passphrase at each start), --master-command COMMAND " +
    "(a KMS or a hardware token), or this file on an encrypted disk";
  return database === "this-host"
    ? {
        problem: `the master secret (${source.path}) lies beside the database: whoever takes this disk, or copies both, has every device's key`,
        better,
      }
    : {
        problem: `the master secret lies in the clear in ${source.path}: whoever has this disk and a copy of the database has every device's key`,
        better,
      };
}
