import type { Session } from "usmp";
import type { OutputStream } from "./environment.ts";
import { messageEvent, pongEvent, rekeyedEvent, sentEvent, statsEvent } from "./events.ts";
import { CommandError, failureOf } from "./failure.ts";
import { LINE_HELP, type LineCommand, readLine } from "./line-command.ts";
import { display } from "./printable.ts";
import type { Reporter } from "./reporter.ts";
import { UnderWay } from "./under-way.ts";

export interface LineSource {
  next(): Promise<Uint8Array | undefined>;
}

export interface ConversationOptions {
  readonly json?: boolean | undefined;
  readonly echo?: boolean | undefined;
  readonly raw?: boolean | undefined;
}

/** Both halves of `usmp connect`: lines to messages and commands, and messages to lines. */
export class Conversation {
  /** Lines that could not be done as asked. */
  failures = 0;
  byeAsked = false;
  readonly #session: Session;
  readonly #options: ConversationOptions;
  readonly #reporter: Reporter;
  readonly #lines: LineSource;
  /** For what is no message. */
  readonly #beside: OutputStream;
  /** Undefined when no person is at the other end of our output. */
  readonly #terminal: { refresh(): void } | undefined;
  readonly #underWay: UnderWay = new UnderWay();

  constructor(
    session: Session,
    options: ConversationOptions,
    reporter: Reporter,
    lines: LineSource,
    beside: OutputStream,
    terminal: { refresh(): void } | undefined,
  ) {
    this.#session = session;
    this.#options = options;
    this.#reporter = reporter;
    this.#lines = lines;
    this.#beside = beside;
    this.#terminal = terminal;
  }

  /** Until the lines or the session end, or /bye; then until what was sent is answered: on UDP by its acknowledgement. */
  async readLines(): Promise<void> {
    while (!this.byeAsked) {
      const line = await this.#lines.next();
      if (line === undefined || !this.#session.open) break;
      await this.#handleLine(line).catch((error: unknown) => this.#tellFailure(error));
      this.#terminal?.refresh();
    }
    await this.#underWay.done();
  }

  /** Until the session ends. */
  async receiveAll(): Promise<void> {
    const echoes = new UnderWay();
    for await (const message of this.#session) {
      if (this.#options.json) await this.#reporter.event(messageEvent(this.#session, message));
      else await this.#reporter.line(this.#terminal ? `< ${display(message)}` : display(message));
      // What cannot be sent back any more is told by the reason of the end.
      if (this.#options.echo) await echoes.add(this.#session.send(message).catch(() => undefined));
      this.#terminal?.refresh();
    }
  }

  async #handleLine(line: Uint8Array): Promise<void> {
    const meaning = readLine(line, this.#options.raw ?? false);
    switch (meaning.do) {
      case "send":
        await this.#underWay.add(this.#send(meaning.message).catch((error: unknown) => this.#tellFailure(error)));
        break;
      case "refuse":
        this.failures++;
        await this.#reporter.error({ code: "unknown-command", message: meaning.problem, exitCode: 1 });
        break;
      case "run":
        // It is about what stands before it.
        await this.#underWay.done();
        await this.#run(meaning.command);
    }
  }

  async #send(message: Uint8Array): Promise<void> {
    await this.#session.send(message);
    if (this.#options.json) await this.#reporter.event(sentEvent(this.#session, message.length));
  }

  async #tellFailure(error: unknown): Promise<void> {
    this.failures++;
    // The end of the session is told once, with its reason.
    if (this.#session.open) await this.#reporter.error(failureOf(error));
  }

  async #run(command: LineCommand): Promise<void> {
    switch (command) {
      case "ping":
        return this.#reporter.event(pongEvent(this.#session, await this.#session.ping()), this.#beside);
      case "rekey":
        await this.#session.rekey();
        return this.#reporter.event(rekeyedEvent(this.#session), this.#beside);
      case "stats":
        return this.#reporter.event(statsEvent(this.#session), this.#beside);
      case "reconnect":
        throw new CommandError(
          "unknown-command",
          "/reconnect: this session ends with its connection; start with --reconnect",
          1,
        );
      case "help":
        return this.#reporter.line(LINE_HELP, this.#beside);
      case "bye":
        this.byeAsked = true;
    }
  }
}
