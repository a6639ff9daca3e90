import { hkdfSync } from "node:crypto";
import { Secret } from "@usmp/protocol";

/** What subkeys are for; each is HKDF-SHA256(master, info = "usmp master " || label), 32 bytes. docs/keys.md has vectors. */
export type SubkeyLabel = "derive" | "seal" | "audit" | "backup" | "messages";

export const MASTER_LENGTH = 32;
const SUBKEY_LENGTH = 32;
const ID_LENGTH = 8;
const NO_SALT = new Uint8Array(0);

/** The 256-bit secret that every key of this gateway depends on. Prints as redacted. */
export class MasterSecret {
  /** 16 hex digits that name it and tell nothing of it: HKDF(master, "usmp master id"). */
  readonly id: string;
  readonly #secret: Secret;

  /** Takes the secret over: wipe() wipes it. */
  constructor(secret: Secret) {
    this.#secret = secret;
    this.id = Buffer.from(hkdfSync("sha256", secret.expose(), NO_SALT, "usmp master id", ID_LENGTH)).toString("hex");
  }

  /** The caller's to wipe. */
  subkey(label: SubkeyLabel): Secret {
    return hkdf(this.#secret, `usmp master ${label}`, SUBKEY_LENGTH);
  }

  /** The secret itself, for sealing it under another master or in a backup. A copy, the caller's to wipe. */
  copy(): Secret {
    return new Secret(this.#secret.expose());
  }

  wipe(): void {
    this.#secret.wipe();
  }
}

/** HKDF-SHA256 (RFC 5869) without salt, into memory of its own. */
export function hkdf(secret: Secret, info: string | Uint8Array, length: number): Secret {
  return Secret.adopt(new Uint8Array(hkdfSync("sha256", secret.expose(), NO_SALT, info, length)));
}
