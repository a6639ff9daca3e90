import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pythonSdk } from "./python-sdk.ts";

/** An error that the SDK raised: `type` is its Python class, such as "AuthError". */
export class PythonError extends Error {
  override readonly name = "PythonError";
  readonly type: string;

  constructor(type: string, message: string) {
    super(`${type}: ${message}`);
    this.type = type;
  }
}

/** What the script tells without being asked (see python/peer.py), and "exited" when it is gone. */
export type PythonEvent = Readonly<Record<string, unknown>> & { readonly event: string };

interface Pending {
  resolve(answer: Readonly<Record<string, unknown>>): void;
  reject(error: Error): void;
}

/** Reached from src/ and from dist/ alike. */
const SCRIPT: string = fileURLToPath(new URL("../src/python/peer.py", import.meta.url));
const STOP_GRACE_MS = 2000;
/** Standard error that is kept, to be shown with a failure. */
const KEPT_STDERR = 4000;

/** A Python process that answers requests, one JSON object a line. */
export class PythonProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #onEvent: (event: PythonEvent) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<unknown>;
  #requests = 0;
  #stderr = "";
  #ready: ((error: Error | undefined) => void) | undefined;

  private constructor(interpreter: string, onEvent: (event: PythonEvent) => void) {
    this.#onEvent = onEvent;
    this.#child = spawn(interpreter, ["-u", SCRIPT]);
    this.#exited = once(this.#child, "close");
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR);
    });
    this.#child.stdin.on("error", () => {});
    this.#child.on("error", (error) => this.#fail(`cannot be started (${error.message})`));
    this.#child.on("close", (code, signal) => this.#fail(`ended (${signal ?? `exit ${code}`})`));
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#onLine(line));
  }

  static async start(onEvent: (event: PythonEvent) => void): Promise<PythonProcess> {
    const { interpreter, reason } = pythonSdk();
    if (interpreter === undefined) throw new Error(reason);
    const process = new PythonProcess(interpreter, onEvent);
    await new Promise<void>((resolve, reject) => {
      process.#ready = (error) => (error === undefined ? resolve() : reject(error));
    });
    return process;
  }

  /** Sends one request. Rejects with a PythonError, or when no answer came in `timeoutMs`. */
  async request(
    word: string,
    parameters: Readonly<Record<string, unknown>>,
    timeoutMs = 20_000,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#requests;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        timer = setTimeout(() => reject(this.#failure(`did not answer "${word}" within ${timeoutMs} ms`)), timeoutMs);
        this.#child.stdin.write(`${JSON.stringify({ id, do: word, ...parameters })}\n`);
        if (this.#child.exitCode !== null) reject(this.#failure(`has ended before "${word}"`));
      });
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Ends the process: by the end of its input, and by force when that does not do. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    const force = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    await this.#exited;
    clearTimeout(force);
  }

  #onLine(line: string): void {
    const message = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (message["event"] === "ready") this.#ready?.(undefined);
    else if (typeof message["event"] === "string") this.#onEvent(message as PythonEvent);
    else this.#onAnswer(message);
  }

  #onAnswer(message: Readonly<Record<string, unknown>>): void {
    const pending = this.#pending.get(message["id"] as number);
    const error = message["error"] as { readonly type: string; readonly message: string } | undefined;
    if (error !== undefined) pending?.reject(new PythonError(error.type, error.message));
    else pending?.resolve(message["ok"] as Readonly<Record<string, unknown>>);
  }

  #fail(problem: string): void {
    const failure = this.#failure(problem);
    this.#ready?.(failure);
    for (const pending of this.#pending.values()) pending.reject(failure);
    this.#onEvent({ event: "exited", message: failure.message });
  }

  #failure(problem: string): Error {
    const details = this.#stderr === "" ? "" : `\n${this.#stderr}`;
    return new Error(`the Python peer ${problem}${details}`);
  }
}
