import { type Delivery, type Link, LinkClosedError, type Session } from "usmp";
import type { ConversationOptions, LineSource } from "./conversation.ts";
import type { OutputStream } from "./environment.ts";
import {
  closedEvent,
  fateEvent,
  linkEvent,
  messageEvent,
  pongEvent,
  rekeyedEvent,
  sessionEvent,
  statsEvent,
} from "./events.ts";
import { CommandError, failureOf } from "./failure.ts";
import { LINE_HELP, type LineCommand, readLine } from "./line-command.ts";
import { display } from "./printable.ts";
import type { Reporter } from "./reporter.ts";

/** Both halves of `usmp connect --reconnect`: as Conversation, over a link that has now a session and now none. */
export class LinkConversation {
  /** Lines that could not be done as asked, or whose fate is not "delivered". */
  failures = 0;
  byeAsked = false;
  readonly #link: Link;
  readonly #options: ConversationOptions;
  readonly #reporter: Reporter;
  readonly #lines: LineSource;
  readonly #beside: OutputStream;
  readonly #terminal: { refresh(): void } | undefined;
  readonly #told: Set<Promise<void>> = new Set();
  /** Of the last session: what comes is named after it. */
  #sessionId = "";

  constructor(
    link: Link,
    options: ConversationOptions,
    reporter: Reporter,
    lines: LineSource,
    beside: OutputStream,
    terminal: { refresh(): void } | undefined,
  ) {
    this.#link = link;
    this.#options = options;
    this.#reporter = reporter;
    this.#lines = lines;
    this.#beside = beside;
    this.#terminal = terminal;
  }

  /** Until the lines or the link end, or /bye. From a pipe each line waits for the fate of the one before. */
  async readLines(): Promise<void> {
    while (!this.byeAsked) {
      const line = await this.#lines.next();
      if (line === undefined || this.#link.state.name === "closed") return;
      try {
        await this.#handleLine(line);
      } catch (error) {
        this.failures++;
        // The end of the link is told once, with its reason.
        if (error instanceof LinkClosedError) return;
        await this.#reporter.error(failureOf(error));
      }
      this.#terminal?.refresh();
    }
  }

  /** Until the link ends. */
  async receiveAll(): Promise<void> {
    for await (const message of this.#link) {
      const names = { deviceId: this.#link.deviceId, sessionId: this.#sessionId };
      if (this.#options.json) await this.#reporter.event(messageEvent(names, message));
      else await this.#reporter.line(this.#terminal ? `< ${display(message)}` : display(message));
      if (this.#options.echo && this.#link.state.name !== "closed") this.#echo(message);
      this.#terminal?.refresh();
    }
  }

  /** Until the link has ended. */
  async tellStates(): Promise<void> {
    for await (const state of this.#link.states()) {
      await this.#reporter.event(linkEvent(this.#link.deviceId, state), this.#beside);
      if (state.name === "connected") await this.#tellSession(state.session);
      this.#terminal?.refresh();
    }
  }

  /** Resolves when every message's fate has been told. */
  async fatesTold(): Promise<void> {
    await Promise.all(this.#told);
  }

  async #tellSession(session: Session): Promise<void> {
    this.#sessionId = session.sessionId;
    this.#track(session.closed.then((reason) => this.#reporter.event(closedEvent(session, reason), this.#beside)));
    await this.#reporter.event(sessionEvent(session), this.#beside);
  }

  async #handleLine(line: Uint8Array): Promise<void> {
    const meaning = readLine(line, this.#options.raw ?? false);
    switch (meaning.do) {
      case "send": {
        const told = this.#tellFate(this.#link.send(meaning.message), meaning.message.length);
        this.#track(told);
        if (this.#terminal === undefined) await told;
        break;
      }
      case "refuse":
        throw new CommandError("unknown-command", meaning.problem, 1);
      case "run":
        await this.#run(meaning.command);
    }
  }

  async #tellFate({ outcome }: Delivery, bytes: number): Promise<void> {
    const fate = await outcome;
    if (fate.fate !== "delivered") this.failures++;
    else if (!this.#options.json) return;
    await this.#reporter.event(fateEvent(this.#link.deviceId, fate, bytes), this.#beside);
  }

  async #run(command: LineCommand): Promise<void> {
    switch (command) {
      case "ping": {
        const session = this.#session();
        return this.#reporter.event(pongEvent(session, await session.ping()), this.#beside);
      }
      case "rekey": {
        const session = this.#session();
        await session.rekey();
        return this.#reporter.event(rekeyedEvent(session), this.#beside);
      }
      case "stats":
        return this.#reporter.event(statsEvent(this.#session()), this.#beside);
      case "reconnect":
        return this.#link.reconnectNow();
      case "help":
        return this.#reporter.line(LINE_HELP, this.#beside);
      case "bye":
        this.byeAsked = true;
    }
  }

  #session(): Session {
    const { session } = this.#link;
    if (session !== undefined) return session;
    throw new CommandError("session-closed", "there is no session at the moment; /reconnect tries now", 1);
  }

  /** What is sent back has its fate, but nobody asked for it. */
  #echo(message: Uint8Array): void {
    try {
      this.#link.send(message);
    } catch (error) {
      if (!(error instanceof LinkClosedError)) throw error;
    }
  }

  #track(telling: Promise<void>): void {
    this.#told.add(telling);
    void telling.finally(() => this.#told.delete(telling));
  }
}
