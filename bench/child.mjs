/** Servers and loads are processes of their own: one JSON request a line on their stdin, one JSON answer a line on their stdout. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { cpuMicroseconds, residentBytes } from "./process-figures.mjs";

/** A running server or load, as the conductor sees it. */
export class Child {
  /** @type {import("node:child_process").ChildProcess} */
  #process;
  /** @type {AsyncIterator<string, undefined>} */
  #answers;

  /** @param {readonly string[]} command program and arguments */
  constructor([program, ...args]) {
    if (program === undefined) throw new Error("a child needs a program");
    this.#process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    const { stdout } = this.#process;
    if (stdout === null) throw new Error(`${program} was started without an output`);
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /**
   * Asks for one thing and waits until it is done.
   * @param {{ readonly do: string } & Record<string, unknown>} request
   * @returns {Promise<any>} the answer, whose shape the request decides
   */
  async ask(request) {
    this.#process.stdin?.write(`${JSON.stringify(request)}\n`);
    const { done, value } = await this.#answers.next();
    if (done) throw new Error(`${this.#process.spawnargs.join(" ")} ended while it was to ${request.do}`);
    const answer = JSON.parse(value);
    if (answer.error !== undefined) throw new Error(`${request.do}: ${answer.error}`);
    return answer;
  }

  get cpuMicroseconds() {
    return cpuMicroseconds(this.#process.pid);
  }

  get residentBytes() {
    return residentBytes(this.#process.pid);
  }

  async stop() {
    if (this.#process.exitCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.stdin?.end();
    await gone;
  }
}

/**
 * The other side: answers requests until its input ends.
 * @param {Record<string, (request: any) => unknown>} verbs what each value of `do` does; what it answers or resolves with is sent back
 */
export async function answerRequests(verbs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const answer = await Promise.resolve()
      .then(() => verbs[request.do]?.(request))
      .catch((error) => ({ error: error.message }));
    process.stdout.write(`${JSON.stringify(answer ?? {})}\n`);
  }
  process.exit();
}
