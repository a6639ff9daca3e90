import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import { styleText } from "node:util";
import type { Environment, OutputStream } from "./environment.ts";

const PROMPT = "> ";
const HISTORY_LINES = 1000;
const NARROWEST = 20;

/** True when both ends are a terminal that can move its cursor. */
export function isInteractive({ stdin, stdout, variables }: Environment): boolean {
  return Boolean(stdin.isTTY && stdout.isTTY) && variables["TERM"] !== "dumb";
}

/** A line editor with history (in memory) under which a status line stands, and above which lines appear. */
export class Terminal {
  readonly #output: OutputStream;
  readonly #status: () => string;
  readonly #editor: Interface;
  readonly #typed: Uint8Array[] = [];
  #waiting: ((line: Uint8Array | undefined) => void) | undefined;
  #ended = false;

  constructor({ stdin, stdout, stop }: Environment, status: () => string) {
    this.#output = stdout;
    this.#status = status;
    this.#editor = createInterface({
      input: stdin,
      output: stdout,
      terminal: true,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
    });
    this.#editor.on("line", (line) => this.#onLine(line));
    this.#editor.on("SIGINT", stop);
    this.#editor.on("close", () => {
      this.#clear(this.#editor.getCursorPos().rows);
      this.#ended = true;
      this.#waiting?.(undefined);
    });
    this.refresh();
  }

  /** The next line that was typed; undefined after Ctrl-D. An empty line is no line. */
  next(): Promise<Uint8Array | undefined> {
    const line = this.#typed.shift();
    if (line !== undefined || this.#ended) return Promise.resolve(line);
    return new Promise((resolve) => {
      this.#waiting = (next) => {
        this.#waiting = undefined;
        resolve(next);
      };
    });
  }

  /** Writes a line above what is being typed. */
  print(line: string): void {
    if (this.#ended) {
      this.#output.write(`${line}\n`);
      return;
    }
    const rows = this.#editor.getCursorPos().rows;
    this.#clear(rows);
    // prompt() goes up by the rows that stood there before: so many are put below the line.
    this.#output.write(`${line}\n${"\n".repeat(rows)}`);
    this.refresh();
  }

  /** Draws the status and what is being typed again. */
  refresh(): void {
    if (this.#ended) return;
    const width = Math.max(NARROWEST, this.#columns) - 1;
    const status = styleText("inverse", ` ${this.#status()} `.slice(0, width), { stream: this.#output });
    this.#editor.setPrompt(`${status}\n${PROMPT}`);
    this.#editor.prompt(true);
  }

  close(): void {
    this.#editor.close();
  }

  #onLine(line: string): void {
    this.#dropStatus(line);
    if (line !== "") {
      const bytes = Buffer.from(line);
      if (this.#waiting) this.#waiting(bytes);
      else this.#typed.push(bytes);
    }
    this.refresh();
  }

  /** Takes the status above an entered line away, where it is certain how many rows the line took. */
  #dropStatus(line: string): void {
    const everyCharacterHasOneColumn = /^[\x20-\x7e\xa0-\u02ff]*$/.test(line);
    if (!everyCharacterHasOneColumn) return;
    const rows = Math.ceil((PROMPT.length + line.length + 1) / this.#columns);
    this.#clear(rows + 1);
    if (line !== "") this.#output.write(`${PROMPT}${line}\n`);
  }

  /** A terminal that does not know its width says 0. */
  get #columns(): number {
    return this.#output.columns || 80;
  }

  #clear(rowsUp: number): void {
    moveCursor(this.#output, 0, -rowsUp);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }
}
