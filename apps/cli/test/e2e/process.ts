import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import { Capture } from "../virtual-environment.ts";

export const TEST_KEY = "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
export const BIN: string = fileURLToPath(new URL("../../bin/usmp.mjs", import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process whose output arrives line by line. */
export class Child {
  readonly process: ChildProcess;
  readonly stdout: Capture = new Capture();
  readonly stderr: Capture = new Capture();
  readonly exit: Promise<Exit>;

  constructor(command: string, words: readonly string[], variables: Readonly<Record<string, string>> = {}) {
    // Nothing of the test run's own settings reaches the child.
    const { PATH = "", HOME = "" } = process.env;
    this.process = spawn(command, words, { env: { PATH, HOME, TERM: "xterm-256color", ...variables } });
    this.process.stdout?.pipe(this.stdout);
    this.process.stderr?.pipe(this.stderr);
    this.exit = once(this.process, "close").then(([code, signal]) => ({ code, signal }) as Exit);
    children.add(this);
  }

  input(text: string): void {
    this.process.stdin?.write(text);
  }

  endInput(text = ""): void {
    this.process.stdin?.end(text);
  }
}

const children = new Set<Child>();

afterEach(async () => {
  for (const child of children) {
    child.process.kill("SIGKILL");
    await child.exit;
  }
  children.clear();
});

/** `usmp` as users run it. */
export function usmp(words: readonly string[], variables: Readonly<Record<string, string>> = {}): Child {
  return new Child(process.execPath, [BIN, ...words], variables);
}

/** Runs `usmp` to its end. */
export async function finished(
  words: readonly string[],
  input = "",
  variables: Readonly<Record<string, string>> = {},
): Promise<Exit & { out: string; err: string }> {
  const child = usmp(words, variables);
  child.endInput(input);
  const exit = await child.exit;
  return { ...exit, out: child.stdout.text, err: child.stderr.text };
}

export interface ServerProcess {
  readonly child: Child;
  readonly tcp: string;
  readonly udp: string;
}

/** `usmp serve --json` on free ports of both transports. */
export async function server(
  words: readonly string[] = [],
  key: readonly string[] = ["--psk", TEST_KEY],
): Promise<ServerProcess> {
  const child = usmp(["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json", ...key, ...words]);
  const address = async (transport: string): Promise<string> => {
    const line = await child.stdout.line((text) => text.includes('"listening"') && text.includes(`"${transport}"`));
    const { host, port } = JSON.parse(line) as { host: string; port: number };
    return `${host}:${port}`;
  };
  return { child, tcp: await address("tcp"), udp: await address("udp") };
}
