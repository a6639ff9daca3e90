import { randomUUID } from "node:crypto";
import { link, mkdir, open, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { generateKey } from "./commands/keygen.ts";
import { CommandError } from "./failure.ts";

export interface KeyFile {
  readonly path: string;
  /** True when this run made it. */
  readonly created: boolean;
}

/** Where `usmp start` keeps its key: --data, else USMP_DATA, else the place that the system has for data of programs. */
export function dataDirectory(
  given: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): string {
  const named = given ?? variables["USMP_DATA"];
  if (named !== undefined && named !== "") return resolve(named);
  if (process.platform === "win32") return join(variables["LOCALAPPDATA"] ?? homedir(), "usmp");
  // XDG Base Directory Specification 0.8: a relative path there is to be ignored.
  const base = variables["XDG_DATA_HOME"];
  return join(base?.startsWith("/") ? base : join(homedir(), ".local", "share"), "usmp");
}

/** The key file in `directory`, made on the first run. Throws for one that others may read. */
export async function ensureKeyFile(directory: string): Promise<KeyFile> {
  const path = join(directory, "psk");
  const mode = await modeOf(path);
  if (mode === undefined) return { path, created: await createOnce(path) };
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new CommandError(
      "key-exposed",
      `${path}: others may read or change this key (mode ${(mode & 0o777).toString(8).padStart(3, "0")}); ` +
        `if nobody did, run "chmod 600 ${path}", else remove it, start again and give your devices the new one`,
      1,
    );
  }
  return { path, created: false };
}

/**
 * Writes a new key where none is. It appears whole or not at all: two first runs at once agree on one key, and a crash leaves no
 * half of one behind. Answers false when another process was first.
 */
async function createOnce(path: string): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}.new`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${generateKey()}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
