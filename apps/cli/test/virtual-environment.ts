import { PassThrough, Writable } from "node:stream";
import type { Environment, OutputStream } from "../src/environment.ts";
import { LineReader } from "../src/line-reader.ts";

/** An output stream that keeps what was written and tells when a line comes.  */
export class Capture extends Writable {
  text = "";
  #stalled = false;
  #resume: (() => void) | undefined;
  readonly #watchers = new Set<() => void>();

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.text += Buffer.from(chunk).toString();
    if (this.#stalled) this.#resume = done;
    else done();
    for (const watcher of this.#watchers) watcher();
  }

  /** As a reader that takes nothing more, until resume(). */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    this.#resume?.();
  }

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }

  get objects(): Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** The first line that `wanted` takes, as soon as it is there. */
  async line(wanted: (line: string) => boolean): Promise<string> {
    for (;;) {
      const found = this.lines.find(wanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }
}

export interface VirtualEnvironment extends Environment {
  readonly stdin: PassThrough;
  readonly stdout: Capture & OutputStream;
  readonly stderr: Capture & OutputStream;
}

/** A process of the test's own: nothing of it is shared with the real one. */
export function virtualEnvironment(
  variables: Record<string, string> = {},
  input: string | undefined = undefined,
): VirtualEnvironment {
  const stop = new AbortController();
  const stdin = new PassThrough();
  if (input !== undefined) stdin.end(input);
  return {
    stdin,
    stdout: new Capture(),
    stderr: new Capture(),
    lines: new LineReader(stdin),
    variables,
    signal: stop.signal,
    stop: () => stop.abort(),
    now: () => new Date("2026-01-02T03:04:05.678Z"),
  };
}
