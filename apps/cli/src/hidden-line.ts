import type { Environment } from "./environment.ts";

const CONTROL_C = 0x03;
const CONTROL_D = 0x04;
const BACKSPACES: readonly number[] = [0x08, 0x7f];
const LINE_ENDS: readonly number[] = [0x0a, 0x0d];

/** Reads a line from a terminal without showing it. Undefined when it was ended with Ctrl-C or Ctrl-D. */
export function readHiddenLine({ stdin, stderr, stop }: Environment, prompt: string): Promise<Uint8Array | undefined> {
  const typed: number[] = [];
  stderr.write(prompt);
  stdin.setRawMode?.(true);
  return new Promise((resolve) => {
    const finish = (line: Uint8Array | undefined): void => {
      stdin.off("data", read).pause();
      stdin.setRawMode?.(false);
      stderr.write("\n");
      typed.fill(0);
      resolve(line);
    };
    const read = (chunk: Uint8Array): void => {
      for (const byte of chunk) {
        if (LINE_ENDS.includes(byte)) return finish(Uint8Array.from(typed));
        if (byte === CONTROL_C) stop();
        if (byte === CONTROL_C || byte === CONTROL_D) return finish(undefined);
        if (BACKSPACES.includes(byte)) typed.pop();
        else typed.push(byte);
      }
    };
    stdin.on("data", read).resume();
  });
}
