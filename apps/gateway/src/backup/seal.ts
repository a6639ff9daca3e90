import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Secret } from "@usmp/protocol";
import { GatewayError } from "../errors.ts";
import { checkKdf, newKdf, type PassphraseKdf, passphraseKey } from "../master/passphrase-seal.ts";
import { messageOf } from "../master/secret-file.ts";

/** Who can open a backup. */
export type BackupSeal =
  /** Argon2id, then AES-256-GCM in chunks. */
  | { readonly kind: "passphrase"; readonly passphrase: Secret }
  /** An age recipient, "age1…": `age -d` opens it. */
  | { readonly kind: "age-recipient"; readonly recipient: string };

export type BackupOpener =
  | { readonly kind: "passphrase"; readonly passphrase: Secret }
  /** An age identity file's content; its line "AGE-SECRET-KEY-1…" counts. */
  | { readonly kind: "age-identity"; readonly identity: Secret };

const FORMAT = "usmp backup, sealed 1";
const AGE_FORMAT = "age-encryption.org/v1\n";
const CHUNK_LENGTH = 65_536;
const TAG_LENGTH = 16;

/** Seals a whole backup. Throws GatewayError "usage" for a recipient that is none. */
export function sealBackup(content: Uint8Array, seal: BackupSeal): Promise<Uint8Array> {
  return seal.kind === "passphrase" ? sealByPassphrase(content, seal.passphrase) : sealForAge(content, seal.recipient);
}

/** How a sealed backup is to be opened. Throws GatewayError "damaged" for what is no backup. */
export function sealKind(file: Uint8Array): "passphrase" | "age" {
  if (startsWith(file, AGE_FORMAT)) return "age";
  if (startsWith(file, `{"format":"${FORMAT}"`)) return "passphrase";
  throw new GatewayError("damaged", "the file is no backup of usmp: it was cut, changed, or is something else");
}

/** Throws GatewayError "wrong-passphrase" when it does not open, "damaged" when it was cut or changed. */
export async function openBackup(file: Uint8Array, opener: BackupOpener): Promise<Uint8Array> {
  const kind = sealKind(file);
  if (kind === "age") {
    if (opener.kind !== "age-identity")
      throw new GatewayError(
        "usage",
        "the backup is sealed to an age recipient; give its identity with --identity FILE",
      );
    return openByAge(file, opener.identity);
  }
  if (opener.kind !== "passphrase")
    throw new GatewayError("usage", "the backup is sealed with a passphrase, not to an age recipient");
  return openByPassphrase(file, opener.passphrase);
}

/** A line of JSON; then chunks of 64 KiB, each with its number and whether it is the last in the nonce (STREAM, Hoang et al. 2015). */
async function sealByPassphrase(content: Uint8Array, passphrase: Secret): Promise<Uint8Array> {
  const header = Buffer.from(`${JSON.stringify({ format: FORMAT, kdf: newKdf() })}\n`);
  const { kdf } = JSON.parse(header.toString()) as { kdf: PassphraseKdf };
  const key = await passphraseKey(passphrase, kdf);
  try {
    const pieces: Uint8Array[] = [header];
    for (let index = 0, start = 0; start === 0 || start < content.length; index++, start += CHUNK_LENGTH) {
      const last = start + CHUNK_LENGTH >= content.length;
      const cipher = createCipheriv("aes-256-gcm", key.expose(), chunkNonce(index, last)).setAAD(header);
      pieces.push(cipher.update(content.subarray(start, start + CHUNK_LENGTH)), cipher.final(), cipher.getAuthTag());
    }
    return Buffer.concat(pieces);
  } finally {
    key.wipe();
  }
}

async function openByPassphrase(file: Uint8Array, passphrase: Secret): Promise<Uint8Array> {
  const end = file.indexOf(0x0a) + 1;
  const header = Buffer.from(file.subarray(0, end));
  const key = await passphraseKey(passphrase, readKdf(header));
  const pieces: Buffer[] = [];
  try {
    for (
      let index = 0, start = end;
      start === end || start < file.length;
      index++, start += CHUNK_LENGTH + TAG_LENGTH
    ) {
      const last = start + CHUNK_LENGTH + TAG_LENGTH >= file.length;
      const chunk = file.subarray(start, start + CHUNK_LENGTH + TAG_LENGTH);
      const opened = openChunk(key, header, chunk, chunkNonce(index, last));
      if (opened !== undefined) pieces.push(opened);
      else if (index === 0)
        throw new GatewayError("wrong-passphrase", "the passphrase is wrong, or the backup was cut or changed");
      else throw new GatewayError("damaged", `the backup was cut or changed, at byte ${start} or behind it`);
    }
    return Buffer.concat(pieces);
  } finally {
    key.wipe();
    for (const piece of pieces) piece.fill(0);
  }
}

function openChunk(key: Secret, header: Uint8Array, chunk: Uint8Array, nonce: Uint8Array): Buffer | undefined {
  if (chunk.length < TAG_LENGTH) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key.expose(), nonce)
    .setAAD(header)
    .setAuthTag(chunk.subarray(chunk.length - TAG_LENGTH));
  const opened = decipher.update(chunk.subarray(0, chunk.length - TAG_LENGTH));
  try {
    decipher.final();
    return opened;
  } catch {
    opened.fill(0);
    return undefined;
  }
}

function readKdf(header: Buffer): PassphraseKdf {
  try {
    const { kdf } = JSON.parse(header.toString("utf8")) as { kdf: PassphraseKdf };
    checkKdf(kdf);
    return kdf;
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError("damaged", "the backup's first line was changed", { cause: error });
  }
}

function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

async function sealForAge(content: Uint8Array, recipient: string): Promise<Uint8Array> {
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  try {
    encrypter.addRecipient(recipient);
  } catch (error) {
    throw new GatewayError(
      "usage",
      `the age recipient ${JSON.stringify(recipient.slice(0, 80))} is none (${messageOf(error)}); it begins with age1`,
    );
  }
  return encrypter.encrypt(content);
}

async function openByAge(file: Uint8Array, identity: Secret): Promise<Uint8Array> {
  const { Decrypter } = await import("age-encryption");
  const lines = Buffer.from(identity.expose()).toString("latin1").split("\n");
  const secret = lines.find((line) => line.startsWith("AGE-SECRET-KEY-"))?.trim();
  if (secret === undefined)
    throw new GatewayError(
      "usage",
      'the identity file has no line that begins with AGE-SECRET-KEY-; "age-keygen" makes one',
    );
  const decrypter = new Decrypter();
  try {
    decrypter.addIdentity(secret);
    return await decrypter.decrypt(file);
  } catch {
    // Not the error itself: it might quote the identity.
    throw new GatewayError(
      "wrong-passphrase",
      "the identity does not open this backup, or the backup was cut or changed",
    );
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.subarray(0, text.length)).toString("latin1") === text;
}
