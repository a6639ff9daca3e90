import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GatewayError } from "../errors.ts";

/** Longer than any file that is meant. */
const LONGEST = 65_536;
const DRAFT_SUFFIX = /^(\.next)?(\.[0-9a-f-]{36})?\.new$/;

/**
 * Reads a file that holds a secret; undefined when there is none. Throws GatewayError "master-exposed" when others than its owner may
 * read or change it, or when it is neither ours nor root's. The answer is the caller's to wipe.
 */
export async function readSecretFile(
  path: string,
  what: string,
  renewal = 'move to a new one with "usmp master rotate" after that',
): Promise<Uint8Array | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new GatewayError("master-source", `${what} ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    await checkMode(file, path, what, renewal);
    const bytes = new Uint8Array(new ArrayBuffer(LONGEST));
    const { bytesRead } = await file.read(bytes, 0, LONGEST, 0);
    const content = new Uint8Array(bytes.buffer.slice(0, bytesRead));
    bytes.fill(0);
    return content;
  } finally {
    await file.close();
  }
}

/**
 * Writes a file of mode 0600 that appears whole or not at all, and (if durable) is on the disk when this resolves. `replace: false` leaves a file
 * that is already there and answers false.
 */
export async function writeSecretFile(
  path: string,
  content: Uint8Array,
  { replace, durable = true }: { readonly replace: boolean; readonly durable?: boolean },
): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // A first write may be a race of two starts; a later one has one writer, and what a crash left under the fixed name is written anew.
  const draft = replace ? `${path}.new` : `${path}.${randomUUID()}.new`;
  try {
    if (replace) await rm(draft, { force: true });
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(content);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    if (replace) await rename(draft, path);
    else await link(draft, path);
    if (durable) await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if (!replace && codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Removes drafts that a crash left beside a secret file. Only while nobody else can be writing one. */
export async function removeDrafts(path: string): Promise<void> {
  const names = await readdir(dirname(path)).catch(() => []);
  const isDraft = (name: string): boolean =>
    name.startsWith(`${basename(path)}.`) && DRAFT_SUFFIX.test(name.slice(basename(path).length));
  for (const name of names) if (isDraft(name)) await rm(join(dirname(path), name), { force: true });
}

/** Makes a rename or a new name survive a power cut. Windows has no such call, and needs none. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What systemd hands to a service that is not root (LoadCredential): root's, with an access list that lets the service read, whose mask
 * stat() shows as the group's. Who is neither root nor in its group and can read it was let in by that list.
 */
const CREDENTIAL_MODE = 0o440;

async function checkMode(file: FileHandle, path: string, what: string, renewal: string): Promise<void> {
  if (process.platform === "win32") return;
  const { mode, uid, gid } = await file.stat();
  if (uid === 0 && gid === 0 && (mode & 0o777) === CREDENTIAL_MODE) return;
  if ((mode & 0o077) !== 0) {
    throw new GatewayError(
      "master-exposed",
      `${what} ${path} can be read or changed by others (mode ${(mode & 0o777).toString(8).padStart(3, "0")}); if nobody did, run ` +
        `"chmod 600 ${path}"; else ${renewal}`,
    );
  }
  const self = process.getuid?.();
  if (self !== undefined && self !== 0 && uid !== self) {
    throw new GatewayError(
      "master-exposed",
      `${what} ${path} belongs to another user (uid ${uid}); run "chown ${self} ${path}"`,
    );
  }
}
