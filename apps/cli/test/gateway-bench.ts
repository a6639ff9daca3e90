import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Secret, type Session } from "usmp";
import { onTestFinished } from "vitest";
import { run } from "../src/program.ts";
import { type VirtualEnvironment, virtualEnvironment } from "./virtual-environment.ts";

/** What a command printed, and how it ended. */
export interface Said {
  readonly code: number;
  readonly lines: readonly string[];
  readonly err: string;
}

/** A gateway as its owner runs it: the command itself, on a data directory of its own, with the other commands beside it. */
export class GatewayBench {
  readonly directory: string = mkdtempSync(join(tmpdir(), "usmp-bench-"));
  readonly variables: Record<string, string> = { USMP_DATA: this.directory };
  #running: { readonly environment: VirtualEnvironment; readonly done: Promise<number> } | undefined;
  /** Everything that was printed, by the gateway and by the commands. */
  readonly printed: string[] = [];

  constructor() {
    onTestFinished(async () => {
      await this.stop();
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** Starts the gateway, on free loopback ports when no words say otherwise, and waits until it listens. */
  async start(...words: string[]): Promise<void> {
    const where = words.some((word) => word === "--tcp" || word === "--udp")
      ? []
      : ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
    const environment = virtualEnvironment(this.variables);
    const done = run(["gateway", "--json", ...where, ...words], environment);
    this.#running = { environment, done };
    const transports = where.length > 0 ? 2 : words.filter((word) => word === "--tcp" || word === "--udp").length;
    const listening = (): number => environment.stdout.lines.filter((line) => line.includes('"listening"')).length;
    const ready = environment.stdout.line(() => listening() === transports);
    const code = await Promise.race([ready.then(() => undefined), done]);
    if (code !== undefined) {
      this.#running = undefined;
      throw new Error(environment.stderr.text);
    }
  }

  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.environment.stop();
    await running.done;
    this.printed.push(running.environment.stdout.text, running.environment.stderr.text);
  }

  port(transport: "tcp" | "udp"): number {
    for (const line of this.#running?.environment.stdout.lines ?? []) {
      const event = JSON.parse(line) as { event: string; transport: string; port: number };
      if (event.event === "listening" && event.transport === transport) return event.port;
    }
    throw new Error(`the gateway does not listen on ${transport}`);
  }

  get log(): string {
    return this.#running?.environment.stdout.text ?? "";
  }

  /** Runs another command of usmp to its end. */
  async usmp(...words: string[]): Promise<Said> {
    return this.#run(words, false);
  }

  /** As usmp(), with standard output a terminal. */
  async onTerminal(...words: string[]): Promise<Said> {
    return this.#run(words, true);
  }

  async #run(words: readonly string[], isTTY: boolean): Promise<Said> {
    const environment = virtualEnvironment(this.variables, "");
    if (isTTY) Object.assign(environment.stdout, { isTTY });
    const code = await run(words, environment);
    this.printed.push(environment.stdout.text, environment.stderr.text);
    return { code, lines: environment.stdout.lines, err: environment.stderr.text };
  }

  /** Runs a command with --json and answers its objects. */
  async json<T>(...words: string[]): Promise<readonly T[]> {
    const { code, lines, err } = await this.usmp(...words, "--json");
    if (code !== 0) throw new Error(`usmp ${words.join(" ")}: ${err}`);
    return lines.map((line) => JSON.parse(line) as T);
  }

  /** Enrols a device and answers its key. */
  async add(id: string, ...words: string[]): Promise<Uint8Array> {
    const [enrolled] = await this.json<{ psk: string }>("device", "add", id, ...words);
    return keyBytes(enrolled?.psk ?? "");
  }

  /** Connects as a device does; development keys are the device's own affair. */
  async device(id: string, key: Uint8Array, transport: "tcp" | "udp" = "tcp"): Promise<Session> {
    return connect({
      host: "127.0.0.1",
      port: this.port(transport),
      transport,
      deviceId: id,
      psk: new Secret(key),
      development: true,
      handshakeTimeoutMs: 3_000,
    });
  }

  /** Whether a device gets in. */
  async admits(id: string, key: Uint8Array): Promise<boolean> {
    try {
      const session = await this.device(id, key);
      await session.ping();
      await session.close();
      return true;
    } catch {
      return false;
    }
  }
}

export function keyBytes(psk: string): Uint8Array {
  return Uint8Array.from(Buffer.from(psk.replace(/^hex:/, ""), "hex"));
}

/** Runs a line as a POSIX shell does. */
export function shell(line: string): void {
  execFileSync("sh", ["-c", line], { stdio: "ignore" });
}
