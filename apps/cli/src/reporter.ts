import { styleText } from "node:util";
import type { Environment, OutputStream } from "./environment.ts";
import type { CliEvent } from "./events.ts";
import type { Failure } from "./failure.ts";
import { escapeUnprintable, jsonLine } from "./printable.ts";
import { renderEvent } from "./render.ts";

export interface ReportOptions {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** Writes what happens: as JSON lines or as text, or under quiet not at all. Errors are always written, to standard error. */
export class Reporter {
  readonly #environment: Environment;
  readonly #options: ReportOptions;
  #terminal: { print(line: string): void } | undefined;

  constructor(environment: Environment, options: ReportOptions) {
    this.#environment = environment;
    this.#options = options;
  }

  /** Resolves when the reader of our output has room again: who waits for it holds the peer back, not the memory. */
  event(event: CliEvent, stream: OutputStream = this.#environment.stdout): Promise<void> {
    if (this.#options.quiet) return Promise.resolve();
    if (this.#options.json) return this.line(this.#json(event));
    return this.line(renderEvent(event, stream), stream);
  }

  /** As event(), but to standard error, so that it never stands among what was asked for. */
  aside(event: CliEvent): Promise<void> {
    if (this.#options.quiet) return Promise.resolve();
    const { stderr } = this.#environment;
    return this.line(this.#options.json ? this.#json(event) : renderEvent(event, stderr), stderr);
  }

  error({ code, message }: Failure): Promise<void> {
    const { stderr } = this.#environment;
    if (this.#options.json) return this.line(this.#json({ event: "error", code, message }), stderr);
    return this.line(`${styleText("red", "usmp:", { stream: stderr })} ${code}: ${escapeUnprintable(message)}`, stderr);
  }

  /** From now on lines appear where a terminal with a line editor puts them. */
  printThrough(terminal: { print(line: string): void }): void {
    this.#terminal = terminal;
  }

  /** A line as it is. */
  line(line: string, stream: OutputStream = this.#environment.stdout): Promise<void> {
    if (this.#terminal !== undefined) {
      this.#terminal.print(line);
      return Promise.resolve();
    }
    return writeLine(stream, line, this.#environment.signal);
  }

  #json(event: CliEvent): string {
    return jsonLine({ time: this.#environment.now().toISOString(), ...event });
  }
}

/** Writes a line and resolves when the stream can take more, never will, or the program is asked to end. */
function writeLine(stream: OutputStream, line: string, signal: AbortSignal): Promise<void> {
  if (stream.destroyed || stream.write(`${line}\n`) || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done).off("close", done).off("error", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    stream.on("drain", done).on("close", done).on("error", done);
    signal.addEventListener("abort", done);
  });
}
