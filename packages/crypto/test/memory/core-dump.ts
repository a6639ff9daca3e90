import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** gcore comes with gdb. */
export function hasGcore(): boolean {
  try {
    execFileSync("gcore", ["--help"], { stdio: "ignore" });
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** Dumps the memory of a running process, which goes on, and answers which of the `needles` are in it, and the dump's size. */
export function searchMemory(
  pid: number,
  needles: ReadonlyMap<string, Uint8Array>,
): { found: Set<string>; bytes: number } {
  const directory = mkdtempSync(join(tmpdir(), "usmp-core-"));
  try {
    execFileSync("gcore", ["-o", join(directory, "core"), String(pid)], { stdio: "ignore" });
    const core = join(directory, `core.${pid}`);
    return { found: searchFile(core, needles), bytes: statSync(core).size };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const CHUNK = 32 * 1024 * 1024;

/** The names of the needles (8 to 1,024 bytes each) that occur in a file. */
function searchFile(path: string, needles: ReadonlyMap<string, Uint8Array>): Set<string> {
  const index = new NeedleIndex(needles);
  const found = new Set<string>();
  const buffer = Buffer.alloc(CHUNK + MAX_NEEDLE);
  const file = openSync(path, "r");
  try {
    let kept = 0;
    for (let read = -1; read !== 0; ) {
      read = readSync(file, buffer, kept, CHUNK, null);
      const filled = buffer.subarray(0, kept + read);
      index.collect(filled, found);
      // The end goes before the next chunk, so that a needle across the border is seen whole.
      kept = Math.min(MAX_NEEDLE, filled.length);
      filled.copy(buffer, 0, filled.length - kept);
    }
  } finally {
    closeSync(file);
  }
  return found;
}

const MAX_NEEDLE = 1024;
const PREFIX = 8;

/** Thousands of needles at once: a bitmap of their first three bytes lets nearly every position pass at one look-up. */
class NeedleIndex {
  readonly #starts = new Uint8Array(2 ** 21);
  readonly #byPrefix = new Map<string, { name: string; bytes: Uint8Array }[]>();

  constructor(needles: ReadonlyMap<string, Uint8Array>) {
    for (const [name, bytes] of needles) {
      if (bytes.length < PREFIX || bytes.length > MAX_NEEDLE)
        throw new Error(`needle ${name} has ${bytes.length} bytes`);
      const start = threeBytes(bytes, 0);
      this.#starts[start >> 3] = (this.#starts[start >> 3] as number) | (1 << (start & 7));
      const prefix = Buffer.from(bytes).toString("latin1", 0, PREFIX);
      this.#byPrefix.set(prefix, [...(this.#byPrefix.get(prefix) ?? []), { name, bytes }]);
    }
  }

  collect(buffer: Buffer, found: Set<string>): void {
    const last = buffer.length - PREFIX;
    for (let i = 0; i <= last; i++) {
      const start = threeBytes(buffer, i);
      if (((this.#starts[start >> 3] as number) & (1 << (start & 7))) === 0) continue;
      for (const { name, bytes } of this.#byPrefix.get(buffer.toString("latin1", i, i + PREFIX)) ?? []) {
        if (buffer.subarray(i, i + bytes.length).equals(bytes)) found.add(name);
      }
    }
  }
}

function threeBytes(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8) | ((bytes[offset + 2] as number) << 16);
}
