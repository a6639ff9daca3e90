import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";

/**
 * Argon2id parameters: RFC 9106 section 4, the second recommended option. A quarter of a second on a small host. They stand in each sealed
 * file, so that later versions may raise them.
 */
const ARGON2 = { memoryKiB: 65_536, passes: 3, lanes: 4 } as const;
/** What a file may ask for: a hostile one must not take all memory. */
const MOST = { memoryKiB: 1_048_576, passes: 16, lanes: 16 } as const;
const SALT_LENGTH = 16;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

export interface PassphraseKdf {
  readonly name: "argon2id";
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
  /** Base64. */
  readonly salt: string;
}

export function newKdf(): PassphraseKdf {
  return { name: "argon2id", ...ARGON2, salt: randomBytes(SALT_LENGTH).toString("base64") };
}

/** The 32-byte key of a passphrase; the caller's to wipe. Throws GatewayError "damaged" for parameters out of range. */
export async function passphraseKey(passphrase: Secret, kdf: PassphraseKdf): Promise<Secret> {
  checkKdf(kdf);
  const { argon2id } = await import("hash-wasm");
  const key = await argon2id({
    password: passphrase.expose(),
    salt: Buffer.from(kdf.salt, "base64"),
    memorySize: kdf.memoryKiB,
    iterations: kdf.passes,
    parallelism: kdf.lanes,
    hashLength: 32,
    outputType: "binary",
  });
  const secret = new Secret(key);
  key.fill(0);
  return secret;
}

/** Seals a small secret with a passphrase: one line of JSON. `purpose` is bound to it. */
export async function sealWithPassphrase(secret: Secret, passphrase: Secret, purpose: string): Promise<Uint8Array> {
  const header = { format: purpose, kdf: newKdf() };
  const key = await passphraseKey(passphrase, header.kdf);
  try {
    const nonce = randomBytes(NONCE_LENGTH);
    const cipher = createCipheriv("aes-256-gcm", key.expose(), nonce).setAAD(Buffer.from(JSON.stringify(header)));
    const sealed = Buffer.concat([nonce, cipher.update(secret.expose()), cipher.final(), cipher.getAuthTag()]);
    return Buffer.from(`${JSON.stringify({ ...header, sealed: sealed.toString("base64") })}\n`);
  } finally {
    key.wipe();
  }
}

/** Throws GatewayError "damaged" for what is no such file, "wrong-passphrase" when it does not open. */
export async function openWithPassphrase(
  file: Uint8Array,
  passphrase: Secret,
  purpose: string,
  name: string,
): Promise<Secret> {
  const { sealed, ...header } = readSealed(file, purpose, name);
  const bytes = Buffer.from(sealed, "base64");
  const key = await passphraseKey(passphrase, header.kdf);
  try {
    const decipher = createDecipheriv("aes-256-gcm", key.expose(), bytes.subarray(0, NONCE_LENGTH))
      .setAAD(Buffer.from(JSON.stringify(header)))
      .setAuthTag(bytes.subarray(bytes.length - TAG_LENGTH));
    const opened = decipher.update(bytes.subarray(NONCE_LENGTH, bytes.length - TAG_LENGTH));
    decipher.final();
    const secret = new Secret(opened);
    opened.fill(0);
    return secret;
  } catch (error) {
    throw new GatewayError("wrong-passphrase", `${name}: the passphrase is wrong, or the file was changed`, {
      cause: error,
    });
  } finally {
    key.wipe();
  }
}

function readSealed(
  file: Uint8Array,
  purpose: string,
  name: string,
): { format: string; kdf: PassphraseKdf; sealed: string } {
  const damaged = new GatewayError("damaged", `${name} is no "${purpose}" file, or it was cut or changed`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(file).toString("utf8"));
  } catch {
    throw damaged;
  }
  const { format, kdf, sealed } = (value ?? {}) as { format?: unknown; kdf?: unknown; sealed?: unknown };
  if (format !== purpose || typeof sealed !== "string" || typeof kdf !== "object" || kdf === null) throw damaged;
  if (Buffer.from(sealed, "base64").length < NONCE_LENGTH + TAG_LENGTH) throw damaged;
  return { format, kdf: kdf as PassphraseKdf, sealed };
}

export function checkKdf(kdf: PassphraseKdf): void {
  const inRange = (value: unknown, least: number, most: number): boolean =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
  const good =
    kdf.name === "argon2id" &&
    inRange(kdf.memoryKiB, 8 * 1024, MOST.memoryKiB) &&
    inRange(kdf.passes, 1, MOST.passes) &&
    inRange(kdf.lanes, 1, MOST.lanes) &&
    typeof kdf.salt === "string" &&
    Buffer.from(kdf.salt, "base64").length >= 8;
  if (!good) throw new GatewayError("damaged", "the Argon2id parameters are out of range: the file was changed");
}
