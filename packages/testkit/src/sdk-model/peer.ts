import { addMs, type CryptoProvider, type Instant, type Secret } from "@usmp/protocol";
import { SdkError } from "./frames.ts";
import { SdkSession, type SdkSessionInfo } from "./session.ts";
import type { SdkStream } from "./stream.ts";
import { type Settled, type Task, Tasks } from "./tasks.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What an application on the SDK gets to know. */
export type SdkEvent =
  | { readonly type: "connected"; readonly sessionId: Uint8Array }
  /** connect() raised, or the server gave the handshake up. */
  | { readonly type: "refused"; readonly error: Error }
  | { readonly type: "message"; readonly data: Uint8Array }
  /** send(), ping(), rekey() or bye() came back: with send() the SDK means that the peer has it. */
  | { readonly type: "done"; readonly call: number }
  | { readonly type: "failed"; readonly call: number; readonly error: Error }
  /** recv() raised; the application closed the transport. */
  | { readonly type: "closed"; readonly error: Error };

export interface SdkPeerOptions {
  readonly crypto: CryptoProvider;
  readonly psk: Secret;
}

/** What a session of the SDK is driven with: the calls of its application, and time. */
export abstract class SdkPeer {
  protected readonly options: SdkPeerOptions;
  protected readonly tasks: Tasks = new Tasks();
  protected now: Instant;
  readonly #events: SdkEvent[] = [];
  #session: SdkSession | undefined;
  #stopReading: (() => void) | undefined;
  #calls = 0;

  protected constructor(options: SdkPeerOptions, now: Instant) {
    this.options = options;
    this.now = now;
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  pollEvent(): SdkEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Instant | undefined {
    return this.tasks.timeout;
  }

  handleTimeout(now: Instant): void {
    this.advance(now);
  }

  /** Begins send(message); "done" or "failed" follows with the number that this answers. */
  send(message: Uint8Array, now: Instant): number {
    return this.#call((session) => session.send(message), now);
  }

  ping(now: Instant): number {
    return this.#call((session) => session.ping(), now);
  }

  rekey(now: Instant): number {
    return this.#call((session) => session.rekey(), now);
  }

  bye(now: Instant): number {
    return this.#call((session) => session.bye(), now);
  }

  /** The application reads no more: a recv() that waits is cancelled (F8), and nobody answers PINGs. */
  pauseReading(now: Instant): void {
    this.now = now;
    this.#stopReading?.();
    this.#stopReading = undefined;
    // A PONG that it was sending is given up, and whoever waits for the lock goes on.
    this.advance(now);
  }

  resumeReading(now: Instant): void {
    if (this.#session !== undefined && this.#stopReading === undefined) this.#read(this.#session);
    this.advance(now);
  }

  protected emit(event: SdkEvent): void {
    this.#events.push(event);
  }

  protected advance(now: Instant): void {
    this.now = now;
    this.tasks.run(now);
  }

  /** wait_for(handshake, 10 s), then a session whose application reads all the time. */
  protected handshake(stream: SdkStream, task: Task<SdkSessionInfo>, onSettled: (ok: boolean) => void): void {
    const limit = addMs(this.now, HANDSHAKE_TIMEOUT_MS);
    const cancel = this.tasks.spawn(task, (outcome) => {
      stopTimer();
      if ("value" in outcome) this.#open(stream, outcome.value);
      else this.#refuse(stream, errorOf(outcome));
      onSettled("value" in outcome);
    });
    const stopTimer = this.tasks.spawn(sleepUntil(limit), (outcome) => {
      if ("value" in outcome) cancel();
    });
  }

  #open(stream: SdkStream, info: SdkSessionInfo): void {
    this.#session = new SdkSession(this.options.crypto, stream, info, () => this.now);
    this.emit({ type: "connected", sessionId: info.sessionId });
    this.#read(this.#session);
  }

  #refuse(stream: SdkStream, error: Error): void {
    stream.close();
    this.emit({ type: "refused", error });
  }

  #read(session: SdkSession): void {
    const emit = (event: SdkEvent): void => this.emit(event);
    function* reader(): Task<never> {
      for (;;) emit({ type: "message", data: yield* session.receive() });
    }
    this.#stopReading = this.tasks.spawn(reader(), (outcome) => {
      if (!("error" in outcome)) return;
      this.#session = undefined;
      session.stream.close();
      this.emit({ type: "closed", error: outcome.error });
    });
  }

  #call(begin: (session: SdkSession) => Task<void>, now: Instant): number {
    const call = this.#calls++;
    const session = this.#session;
    if (session === undefined) throw new Error("the SDK's peer is not connected; wait for its connected event");
    this.tasks.spawn(begin(session), (outcome) => {
      if ("value" in outcome) this.emit({ type: "done", call });
      else this.emit({ type: "failed", call, error: errorOf(outcome) });
    });
    this.advance(now);
    return call;
  }
}

function* sleepUntil(until: Instant): Task<void> {
  yield { ready: () => false, until };
}

function errorOf(outcome: Settled<unknown>): Error {
  return "error" in outcome ? outcome.error : new SdkError("USMPTimeoutError", "Handshake timed out");
}
