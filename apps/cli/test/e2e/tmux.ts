import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { afterEach } from "vitest";

/** tmux, or in one line why its tests are skipped; under CI=true that is an error. */
export const tmuxAvailable: boolean = (() => {
  if (spawnSync("tmux", ["-V"]).status === 0) return true;
  const reason = "tmux is missing, so no test sees the terminal; run: npm run test:setup";
  if (process.env["CI"] === "true") throw new Error(reason);
  process.stderr.write(`skipped: ${reason}\n`);
  return false;
})();

const terminals = new Set<TmuxTerminal>();

afterEach(async () => {
  for (const terminal of terminals) await terminal.close();
  terminals.clear();
});

export interface ScreenOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly variables?: Record<string, string>;
}

/**
 * A real terminal screen without a window: tmux in control mode tells of every output, so that a test can look at the screen after
 * each change and needs no waiting time.
 */
export class TmuxTerminal {
  readonly #socket = `usmp-test-${randomUUID()}`;
  readonly #control: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #watchers = new Set<() => void>();

  /** Runs `words` in a screen of so many columns and rows; the screen stays when they end. */
  static async open(words: readonly string[], size: ScreenOptions = {}): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal(words, size);
    terminals.add(terminal);
    await terminal.#changed();
    return terminal;
  }

  private constructor(words: readonly string[], { columns = 100, rows = 20, variables = {} }: ScreenOptions) {
    const settings = Object.entries(variables).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    const command = `${words.map(quote).join(" ")}; echo "exit code $?"; exec cat`;
    const size = ["-x", String(columns), "-y", String(rows)];
    this.#control = spawn(
      "tmux",
      ["-L", this.#socket, "-f", "/dev/null", "-C", "new-session", ...size, ...settings, command],
      { env: { PATH: process.env["PATH"] ?? "", HOME: "/", TERM: "xterm-256color", LANG: "C.UTF-8" } },
    );
    this.#control.stdin?.write(`refresh-client -C ${columns}x${rows}\n`);
    const lines = createInterface({ input: this.#control.stdout as NodeJS.ReadableStream });
    lines.on("line", () => {
      for (const watcher of this.#watchers) watcher();
    });
    this.#ended = new Promise((resolve) => this.#control.on("close", () => resolve()));
  }

  /** Types characters as they are. */
  type(text: string): void {
    this.#tmux("send-keys", "-l", text);
  }

  /** Presses keys by tmux's names: Enter, Up, C-c. */
  press(...keys: string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#control.stdin?.write(`refresh-client -C ${columns}x${rows}\n`);
  }

  /** The rows of the screen, with escape sequences when `styled`. */
  screen(styled = false): string[] {
    const text = this.#tmux("capture-pane", "-p", ...(styled ? ["-e"] : []));
    return text.split("\n").map((row) => row.trimEnd());
  }

  /** Looks at the screen after every change, until `wanted` takes it. */
  async until(wanted: (rows: string[]) => boolean): Promise<string[]> {
    for (;;) {
      // From here on no change is missed, though the screen is looked at only now.
      const changed = this.#changed();
      const rows = this.screen();
      if (wanted(rows)) return rows;
      await changed;
    }
  }

  async close(): Promise<void> {
    spawnSync("tmux", ["-L", this.#socket, "kill-server"]);
    await this.#ended;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (): void => {
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }

  #tmux(...words: string[]): string {
    return execFileSync("tmux", ["-L", this.#socket, ...words], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
