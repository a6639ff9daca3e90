import type { Gateway, GatewayEvent, GatewaySession } from "@usmp/gateway";
import type { Session } from "usmp";
import { closedEvent, messageEvent, sessionEvent } from "./events.ts";
import type { Reporter } from "./reporter.ts";

/** Lines that may wait for whoever takes our output; of more, messages are left out, and how many is told. */
const MOST_WAITING = 10_000;
/** Messages of one session that may be under way back to their device, with --echo. */
const MOST_ECHOES = 256;

type SessionEvent = GatewayEvent & { readonly type: "session" | "message" | "session-ended" };

type Line = SessionEvent | { readonly type: "omitted"; readonly count: number };

/**
 * Prints sessions, their messages and their ends, in the order in which they happened: a message once it is stored. Whoever reads our output
 * slowly holds up no device; what does not fit meanwhile is in `usmp logs`.
 */
export class SessionLines {
  readonly #gateway: Gateway;
  readonly #reporter: Reporter;
  readonly #echo: boolean;
  readonly #sessions: Map<string, GatewaySession> = new Map();
  readonly #echoes: Map<string, number> = new Map();
  readonly #waiting: Line[] = [];
  #omitted = 0;
  #printing: Promise<void> | undefined;

  constructor(gateway: Gateway, reporter: Reporter, echo: boolean) {
    this.#gateway = gateway;
    this.#reporter = reporter;
    this.#echo = echo;
    gateway.onSession((session) => this.#sessions.set(session.session.sessionId, session));
    gateway.events.on((event) => {
      if (event.type === "session" || event.type === "message" || event.type === "session-ended") this.#add(event);
    });
  }

  /** Resolves when all of it is printed. */
  async done(): Promise<void> {
    await this.#printing;
  }

  #add(event: SessionEvent): void {
    if (event.type === "message" && this.#waiting.length >= MOST_WAITING) this.#omitted++;
    else {
      if (this.#omitted > 0) this.#waiting.push({ type: "omitted", count: this.#omitted });
      this.#omitted = 0;
      this.#waiting.push(event);
    }
    this.#printing ??= this.#print().finally(() => {
      this.#printing = undefined;
    });
  }

  async #print(): Promise<void> {
    // A session's own listeners hear of it after its event.
    await Promise.resolve();
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await this.#printOne(next);
  }

  async #printOne(event: Line): Promise<void> {
    if (event.type === "omitted") {
      const message = `${event.count} messages were not printed, because this output was not taken; usmp logs has them`;
      return this.#reporter.event({ event: "notice", topic: "output", message });
    }
    const id = event.type === "message" ? event.message.session : event.session;
    const admitted = this.#sessions.get(id);
    if (admitted === undefined) return;
    const { session, generation } = admitted;
    if (event.type === "session") {
      const name = this.#gateway.registry.device(session.deviceId)?.name;
      await this.#reporter.event({ ...sessionEvent(session), generation, ...(name === undefined ? {} : { name }) });
    } else if (event.type === "message") {
      await this.#reporter.event(messageEvent(session, event.message.data));
      if (this.#echo) await this.#sendBack(session, event.message.data);
    } else {
      this.#sessions.delete(id);
      await this.#reporter.event(closedEvent(session, event.reason));
    }
  }

  /** In order, and several at a time; what cannot be sent back any more is told by the reason of the end, which follows. */
  async #sendBack(session: Session, message: Uint8Array): Promise<void> {
    const { sessionId } = session;
    const note = (more: number): number => {
      const underWay = (this.#echoes.get(sessionId) ?? 0) + more;
      if (underWay === 0) this.#echoes.delete(sessionId);
      else this.#echoes.set(sessionId, underWay);
      return underWay;
    };
    const sent = session
      .send(message)
      .catch(() => {})
      .finally(() => note(-1));
    if (note(1) >= MOST_ECHOES) await sent;
  }
}
