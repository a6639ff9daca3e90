import type { Secret } from "@usmp/protocol";

/** What subkeys are for; each is HKDF-SHA256(master, info = "usmp master " || label), 32 bytes. docs/keys.md has vectors. */
export type SubkeyLabel = "derive" | "seal" | "audit" | "backup";

/** The 256-bit secret that every key of this gateway depends on. Prints as redacted. */
export interface MasterSecret {
  /** 16 hex digits that name it and tell nothing of it: HKDF(master, "usmp master id"). */
  readonly id: string;
  /** The caller's to wipe. */
  subkey(label: SubkeyLabel): Secret;
  wipe(): void;
}

/** Where a master secret comes from. */
export type MasterSource =
  /** A file of mode 0600; made on the first run. Default: DIR/master. */
  | { readonly kind: "file"; readonly path: string }
  /** An environment variable with 64 hex digits; taken out of the environment once read. */
  | { readonly kind: "variable"; readonly name: string }
  /** A command that prints 64 hex digits: a KMS, a hardware token. No shell. */
  | { readonly kind: "command"; readonly words: readonly string[] }
  /** A file sealed with a passphrase by Argon2id. */
  | { readonly kind: "sealed-file"; readonly path: string };

/** What a thief of the disk gets, in words for the first start, `doctor` and SECURITY.md; undefined: nothing by the disk alone. */
export type DiskExposure = { readonly problem: string; readonly better: string } | undefined;
