import { addMs, type CloseReason, type ConnectionEvent, copyBytes, type Instant } from "@usmp/protocol";
import { Alarm } from "../alarm.ts";
import type { Peer, Session, WaitOptions } from "../api.ts";
import { formatDeviceId } from "../device-id.ts";
import { SessionClosedError, UsmpError } from "../errors.ts";
import { openSession, type Target } from "../open-session.ts";
import { type LiveSession, messageBytes } from "../session.ts";
import { Outcome } from "../waiting.ts";
import type { Delivery, Link, LinkEnd, LinkState, LinkStatistics, ReconnectOptions, Wake } from "./api.ts";
import { Backoff } from "./backoff.ts";
import { Carrier } from "./carrier.ts";
import { LinkClosedError, looksRefused } from "./errors.ts";
import { networkChanges } from "./network-changes.ts";
import { Outbox } from "./outbox.ts";
import { Pulse } from "./pulse.ts";
import { Reading } from "./reading.ts";
import { type LinkSettings, readReconnectOptions } from "./settings.ts";
import { StateFeed } from "./state-feed.ts";
import { Wakes } from "./wakes.ts";

/** Attempts are so far apart, whoever asks for them: a source of wakes that never stops must not become a flood of handshakes. */
const MIN_ATTEMPT_INTERVAL_MS = 1_000;
/** A session that is asked for a sign of life after a change of the network may take so long to answer. */
const PROBE_MS = 5_000;
/** close() waits so long for messages on their way; the session's own close() takes at most one second more. */
const CLOSE_FLUSH_MS = 1_000;

/** What a link is made with beside its target and its options. */
export interface LinkMakings {
  readonly receiveBufferBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Forgets the key. Called once, when the link has ended. */
  readonly release: () => void;
}

/** Checks the options and begins. Throws UsageError "invalid-option". */
export function openLink(target: Target, options: ReconnectOptions, makings: LinkMakings): Link {
  return new ReconnectingLink(target, readReconnectOptions(options), makings);
}

/** A session and those who serve it. */
interface Current {
  readonly session: LiveSession;
  readonly carrier: Carrier;
  readonly pulse: Pulse;
  readonly since: Instant;
}

/** See Link in api.ts. The state table is in docs/reconnect.md. */
class ReconnectingLink implements Link {
  readonly deviceId: string;
  readonly target: Peer;
  readonly #target: Target;
  readonly #settings: LinkSettings;
  readonly #makings: LinkMakings;
  readonly #backoff: Backoff;
  readonly #outbox: Outbox;
  readonly #reading: Reading;
  readonly #feed: StateFeed;
  readonly #wakes: Wakes;
  readonly #retry: Alarm;
  readonly #closed: Outcome<LinkEnd> = new Outcome();
  readonly #counts = { attempts: 0, sessions: 0 };
  readonly #failures: Map<string, number> = new Map();
  readonly #ends: Map<string, number> = new Map();
  /** Nothing else may keep the process alive while the link waits. */
  readonly #hold: NodeJS.Timeout;
  #attempt: AbortController | undefined;
  #attemptedAt: Instant;
  #current: Current | undefined;
  #withoutSessionSince: Instant;
  #failedInRow = 0;
  #refusedInRow = 0;
  #closing: Promise<LinkEnd> | undefined;

  constructor(target: Target, settings: LinkSettings, makings: LinkMakings) {
    const { clock, crypto } = target;
    this.deviceId = formatDeviceId(target.deviceId);
    this.target = target.peer;
    this.#target = target;
    this.#settings = settings;
    this.#makings = makings;
    this.#backoff = new Backoff(settings.backoff, () => randomFraction(crypto));
    this.#outbox = new Outbox(settings.outbox);
    this.#reading = new Reading(makings.receiveBufferBytes);
    this.#retry = new Alarm(clock, { onAlarm: () => this.#onRetry() });
    this.#withoutSessionSince = clock.now();
    this.#attemptedAt = clock.now();
    this.#hold = setInterval(() => {}, 2 ** 31 - 1);
    makings.signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#feed = new StateFeed({ name: "connecting", since: clock.now(), attempt: 1 }, settings.onState);
    this.#connect();
    this.#wakes = new Wakes(settings.wake ?? [networkChanges({ clock })], (wake) => this.#onWake(wake));
  }

  get state(): LinkState {
    return this.#feed.state;
  }

  get session(): Session | undefined {
    return this.#current?.session;
  }

  get closed(): Promise<LinkEnd> {
    return this.#closed.promise;
  }

  get statistics(): LinkStatistics {
    return {
      ...this.#counts,
      failures: Object.fromEntries(this.#failures),
      ends: Object.fromEntries(this.#ends),
      wakes: this.#wakes.heard,
      wakeFailures: this.#wakes.failed,
      ...this.#outbox.counts,
      dropped: { ...this.#outbox.dropped },
      received: this.#reading.received,
      pending: this.#outbox.length,
      pendingBytes: this.#outbox.bytes,
    };
  }

  send(message: Uint8Array | string, { signal }: WaitOptions = {}): Delivery {
    signal?.throwIfAborted();
    this.#requireOpen();
    const queued = this.#outbox.push(copyBytes(messageBytes(message)));
    if (signal !== undefined) {
      const giveUp = (): void => this.#outbox.abandon(queued);
      signal.addEventListener("abort", giveUp, { once: true });
      void queued.outcome.then(() => signal.removeEventListener("abort", giveUp));
    }
    this.#current?.carrier.pump();
    return queued;
  }

  receive({ signal }: WaitOptions = {}): Promise<Uint8Array | undefined> {
    return this.#reading.receive(signal);
  }

  /** Leaving the loop early leaves the link open. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: async () => {
        const message = await this.#reading.receive(undefined);
        return message === undefined ? { done: true, value: undefined } : { done: false, value: message };
      },
    };
  }

  states(): AsyncIterable<LinkState> {
    return this.#feed.read();
  }

  connected({ signal }: WaitOptions = {}): Promise<Session> {
    return this.#feed.connected(signal);
  }

  flushed({ signal }: WaitOptions = {}): Promise<void> {
    return this.#outbox.emptied(signal);
  }

  reconnectNow(): void {
    this.#onWake({ reason: "asked" });
  }

  close(): Promise<LinkEnd> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  abort(): void {
    this.#current?.session.abort();
    this.#finish({ code: "aborted" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #onAbort = (): void => this.abort();

  #connect(): void {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#attemptedAt = this.#now();
    this.#counts.attempts++;
    const options = { receiveBufferBytes: this.#reading.room, signal: attempt.signal };
    openSession(this.#target, options).then(
      (session) => {
        if (this.#attempt === attempt) this.#onSession(session);
        else session.abort();
      },
      (error: unknown) => {
        if (this.#attempt === attempt) this.#onFailure(error);
      },
    );
  }

  #onSession(session: LiveSession): void {
    this.#attempt = undefined;
    this.#counts.sessions++;
    this.#failedInRow = 0;
    this.#refusedInRow = 0;
    const { confirm, resendUnknown, deadAfterMs } = this.#settings;
    const pulse = new Pulse(
      {
        get pingsSent() {
          return session.pings.sent;
        },
        get deaf() {
          return session.deaf;
        },
        ping: () => void session.ping().catch(() => {}),
        onDead: (silentMs) => session.end({ code: "peer-silent", silentMs }),
      },
      this.#target.clock,
      { keepaliveMs: this.#target.timing.keepaliveMs, deadAfterMs },
    );
    const carrier = new Carrier(session, this.#outbox, { confirm, resendUnknown, onAsked: () => pulse.asked() });
    session.observer = (event) => {
      if (event.type === "closed") return onEnd(event.reason);
      if (event.type === "pong") carrier.onPong();
      if (showsLife(event)) pulse.heard(carrier.asking);
    };
    const onEnd = (reason: CloseReason): void => {
      pulse.stop();
      carrier.end(reason);
    };
    const current = { session, carrier, pulse, since: this.#now() };
    this.#current = current;
    this.#reading.add(session);
    this.#feed.enter({ name: "connected", since: current.since, session });
    void session.closed.then(async (reason) => {
      // It may have ended before it was observed.
      onEnd(reason);
      await carrier.over;
      this.#onSessionEnd(current, reason);
    });
    carrier.pump();
  }

  #onSessionEnd({ since }: Current, reason: CloseReason): void {
    const now = this.#now();
    this.#current = undefined;
    count(this.#ends, reason.code);
    this.#withoutSessionSince = now;
    if (now - since >= this.#settings.stableAfterMs) this.#backoff.reset();
    if (this.#closing === undefined) this.#wait(new SessionClosedError(reason), this.#settings.backoff.maxMs);
  }

  #onFailure(error: unknown): void {
    this.#attempt = undefined;
    if (!(error instanceof UsmpError)) return this.#finish({ code: "failed", error: asError(error) });
    const refused = looksRefused(error);
    this.#failedInRow++;
    this.#refusedInRow = refused ? this.#refusedInRow + 1 : 0;
    count(this.#failures, error.code);
    if (this.#shouldGiveUp()) this.#finish({ code: "gave-up", error });
    else this.#wait(error, refused ? this.#settings.refusedMaxMs : this.#settings.backoff.maxMs);
  }

  #shouldGiveUp(): boolean {
    const { attempts, ms, refusals } = this.#settings.giveUpAfter;
    const withoutMs = this.#now() - this.#withoutSessionSince;
    return this.#failedInRow >= attempts || withoutMs >= ms || this.#refusedInRow >= refusals;
  }

  #wait(error: UsmpError, maxMs: number): void {
    this.#waitUntil(addMs(this.#now(), this.#backoff.next(maxMs)), error);
  }

  #waitUntil(retryAt: Instant, error: UsmpError): void {
    const since = this.#now();
    this.#feed.enter({ name: "waiting", since, retryAt, retryInMs: retryAt - since, error });
    // An application may have closed the link, or asked for an earlier try, in the meantime.
    this.#retry.set(retryAt);
  }

  #onRetry(): void {
    if (this.state.name !== "waiting") return;
    this.#feed.enter({ name: "connecting", since: this.#now(), attempt: this.#failedInRow + 1 });
    this.#connect();
  }

  #onWake({ spreadMs = 0 }: Wake): void {
    const { state } = this;
    const now = this.#now();
    if (this.#closing !== undefined) return;
    if (state.name === "connected") this.#current?.pulse.probe(PROBE_MS);
    if (state.name === "connecting" && now - this.#attemptedAt >= MIN_ATTEMPT_INTERVAL_MS) {
      this.#attempt?.abort();
      this.#connect();
    }
    if (state.name !== "waiting") return;
    const wanted = addMs(now, spreadMs === 0 ? 0 : spreadMs * randomFraction(this.#target.crypto));
    const retryAt = Math.max(wanted, this.#attemptedAt + MIN_ATTEMPT_INTERVAL_MS) as Instant;
    if (retryAt < state.retryAt) this.#waitUntil(retryAt, state.error);
  }

  async #close(): Promise<LinkEnd> {
    const current = this.#current;
    if (current !== undefined && this.#closed.value === undefined) {
      await this.#flushFor(CLOSE_FLUSH_MS);
      await current.session.close();
      await current.carrier.over;
    }
    this.#finish({ code: "closed-locally" });
    return this.closed;
  }

  /** Resolves when the outbox is empty, its session has ended, or the time is over. */
  #flushFor(milliseconds: number): Promise<unknown> {
    const { clock } = this.#target;
    const giveUp = new AbortController();
    const cancel = clock.schedule(addMs(clock.now(), milliseconds), () => giveUp.abort());
    void this.#current?.carrier.over.then(() => giveUp.abort());
    return this.#outbox
      .emptied(giveUp.signal)
      .catch(() => {})
      .finally(cancel);
  }

  #finish(end: LinkEnd): void {
    if (this.#closed.value !== undefined) return;
    this.#closing ??= this.closed;
    this.#closed.settle(end);
    clearInterval(this.#hold);
    this.#retry.clear();
    this.#wakes.stop();
    this.#makings.signal?.removeEventListener("abort", this.#onAbort);
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.abort();
    this.#makings.release();
    this.#reading.end();
    this.#feed.enter({ name: "closed", since: this.#now(), end });
    const dropWaiting = (): void => this.#outbox.dropAll();
    if (this.#current === undefined) dropWaiting();
    else void this.#current.carrier.over.then(dropWaiting);
  }

  #requireOpen(): void {
    if (this.#closed.value !== undefined) throw new LinkClosedError(this.#closed.value);
    if (this.#closing !== undefined) throw new LinkClosedError({ code: "closed-locally" });
  }

  #now(): Instant {
    return this.#target.clock.now();
  }
}

/** True for what only an authentic frame of the peer's brings about. A REKEY of our own over TCP is done when it is written. */
function showsLife(event: ConnectionEvent): boolean {
  if (event.type === "rekeyed") return event.by === "peer";
  return event.type === "message" || event.type === "pong" || event.type === "acknowledged";
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function count(counts: Map<string, number>, code: string): void {
  counts.set(code, (counts.get(code) ?? 0) + 1);
}

/** A random number in [0, 1) from the provider's CSPRNG: unlike Math.random it is not alike in devices that boot alike. */
function randomFraction(crypto: Target["crypto"]): number {
  const bytes = new Uint8Array(4);
  crypto.randomFill(bytes);
  return new DataView(bytes.buffer).getUint32(0) / 2 ** 32;
}
