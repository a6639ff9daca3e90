import type { Readable, Writable } from "node:stream";
import type { LineReader } from "./line-reader.ts";

/** What commands may touch of the process. main.ts makes the real one; tests make their own. */
export interface Environment {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Standard input by lines; nothing is read before the first one is asked for. */
  readonly lines: LineReader;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Aborts when the user or the system asks the program to end. Commands then say BYE and return. */
  readonly signal: AbortSignal;
  /** Asks the program to end, as a terminal in raw mode does for Ctrl-C. */
  readonly stop: () => void;
  readonly now: () => Date;
}

export type InputStream = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** 0: done as asked. 1: it could not be done. 2: it was asked for in a wrong way. */
export type ExitCode = 0 | 1 | 2;
