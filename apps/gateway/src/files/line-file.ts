import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "../master/secret-file.ts";

export interface LineFileOptions {
  /** Before it grows beyond that the file is renamed to PATH.1, that to PATH.2, and so on. Undefined: never. */
  readonly maxBytes?: number | undefined;
  /** How many renamed ones are kept. */
  readonly keep?: number | undefined;
}

/** A line of ours is shorter. */
const TAIL_BYTES = 65_536;
const NEWLINE = 0x0a;
const BRACE = 0x7b;

/**
 * A file of JSON lines, of mode 0600 where it is new, that only ever holds whole lines: what was written in part (a full disk, a crash) is cut
 * off again. Somebody may rename or remove it at any time, as logrotate does: the next lines go to a new one. One append at a time.
 */
export class LineFile {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  #file: FileHandle | undefined;

  constructor(path: string, { maxBytes = Number.POSITIVE_INFINITY, keep = 0 }: LineFileOptions = {}) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#keep = keep;
  }

  /** Opens the file, so that what is wrong with it shows. */
  async open(): Promise<void> {
    await this.#current();
  }

  /** Resolves when the lines are on the disk, all of them; when it rejects, none of them is in the file. */
  async append(lines: string): Promise<void> {
    const bytes = Buffer.from(lines);
    let file = await this.#current();
    let { size } = await file.stat();
    if (size > 0 && size + bytes.length > this.#maxBytes) {
      file = await this.#rotate();
      size = 0;
    }
    try {
      for (let written = 0; written < bytes.length; ) {
        written += (await file.write(bytes, written)).bytesWritten;
      }
      await file.datasync();
    } catch (error) {
      // When even that fails the file is closed, and mended when it is opened again.
      await file.truncate(size).catch(() => this.close());
      throw error;
    }
  }

  /** Undefined when there is none. */
  async lastLine(): Promise<string | undefined> {
    const file = await this.#current();
    const { size } = await file.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    return buffer.subarray(0, bytesRead).toString("utf8").split("\n").at(-2);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** The file that has the name now. */
  async #current(): Promise<FileHandle> {
    if (this.#file !== undefined && (await this.#isCurrent(this.#file))) return this.#file;
    await this.close();
    this.#file = await this.#openNamed();
    return this.#file;
  }

  async #isCurrent(file: FileHandle): Promise<boolean> {
    const [ours, named] = await Promise.all([file.stat(), stat(this.#path).catch(() => undefined)]);
    return named !== undefined && named.ino === ours.ino && named.dev === ours.dev;
  }

  async #openNamed(): Promise<FileHandle> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const { O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
    // Not blocking: a named pipe would wait for its reader. Windows has no such flag.
    const file = await open(this.#path, O_RDWR | O_APPEND | O_CREAT | (O_NONBLOCK ?? 0), 0o600);
    try {
      const facts = await file.stat();
      if (!facts.isFile()) throw new Error(`${this.#path} is not a regular file`);
      await this.#cutHalfLine(file, facts.size);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** A crash may have left the beginning of a line of ours. */
  async #cutHalfLine(file: FileHandle, size: number): Promise<void> {
    const from = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    const tail = buffer.subarray(0, bytesRead);
    if (tail.length === 0 || tail.at(-1) === NEWLINE) return;
    const begin = tail.lastIndexOf(NEWLINE) + 1;
    if ((begin === 0 && from > 0) || tail[begin] !== BRACE) {
      throw new Error(`${this.#path} does not end with a line of JSON: it is something else's; give another path`);
    }
    await file.truncate(from + begin);
  }

  async #rotate(): Promise<FileHandle> {
    await this.close();
    if (this.#keep === 0) await rm(this.#path, { force: true });
    for (let number = this.#keep; number > 0; number--) {
      const older = number === 1 ? this.#path : `${this.#path}.${number - 1}`;
      await rename(older, `${this.#path}.${number}`).catch((error: unknown) => {
        if (codeOf(error) !== "ENOENT") throw error;
      });
    }
    this.#file = await this.#openNamed();
    return this.#file;
  }
}
