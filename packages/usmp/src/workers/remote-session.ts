import type { Breach, CloseReason } from "@usmp/protocol";
import type { Peer, Session, SessionStatistics, TransportName, WaitOptions } from "../api.ts";
import { DeliveryUnknownError, SessionClosedError } from "../errors.ts";
import { MessageReader } from "../message-reader.ts";
import { messageBytes } from "../session.ts";
import { countAfterAccepting } from "../unread.ts";
import { aborted, type Deferred, deferred, Outcome } from "../waiting.ts";
import type { SessionRecord, SessionVerb } from "./records.ts";

/** What a message costs beside its bytes: an empty one takes memory too. So 256 KiB hold 4,096 messages at most, as in one process. */
export const MESSAGE_COST = 64;
/** Statistics that are older than this are asked for anew when somebody looks at them. Milliseconds. */
const STALE_MS = 200;

/** The worker in which a session lives, as its stand-in here sees it. */
export interface SessionWorker {
  send(session: number, request: number, message: Uint8Array): void;
  ask(session: number, request: number, verb: SessionVerb): void;
  credit(session: number, bytes: number): void;
  accept(session: number, messages: number): void;
  end(session: number, reason: CloseReason): void;
  abort(session: number): void;
}

/** Who is told that a session is over; once. */
export interface RemoteSessionOwner {
  onClosed(session: RemoteSession): void;
}

export interface Begun {
  readonly session: number;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly peer: Peer;
  readonly keyLabel: number | undefined;
}

/** A session that lives in a worker process: see Session in api.ts. Its statistics are those of the last look. */
export class RemoteSession extends MessageReader implements Session {
  readonly number: number;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly keyLabel: number | undefined;
  readonly #worker: SessionWorker;
  readonly #owner: RemoteSessionOwner;
  readonly #window: number;
  readonly #closed: Outcome<CloseReason> = new Outcome();
  readonly #proven: Outcome<boolean> = new Outcome();
  /** Promises of send(), by request. */
  #sending: Map<number, Deferred<void>> | undefined;
  #asked: Map<number, Deferred<number | true | undefined>> | undefined;
  #requests = 0;
  /** Bytes that were read here, and that the worker does not know of yet. */
  #readBytes = 0;
  /** Messages that were read and are not accepted. */
  #unaccepted = 0;
  #peer: Peer;
  #breach: Breach | undefined;
  #statistics: SessionStatistics = NO_STATISTICS;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<CloseReason> | undefined;

  constructor(begun: Begun, worker: SessionWorker, owner: RemoteSessionOwner, window: number) {
    super();
    this.number = begun.session;
    this.deviceId = begun.deviceId;
    this.sessionId = begun.sessionId;
    this.keyLabel = begun.keyLabel;
    this.#peer = begun.peer;
    this.#worker = worker;
    this.#owner = owner;
    this.#window = window;
  }

  get peer(): Peer {
    return this.#peer;
  }

  get transport(): TransportName {
    return this.#peer.transport;
  }

  get closed(): Promise<CloseReason> {
    return this.#closed.promise;
  }

  get open(): boolean {
    return this.#closed.value === undefined;
  }

  get proven(): Promise<boolean> {
    return this.#proven.promise;
  }

  get breach(): Breach | undefined {
    return this.#breach;
  }

  get statistics(): SessionStatistics {
    if (this.open && performance.now() - this.#lookedAt > STALE_MS) {
      this.#lookedAt = performance.now();
      this.#worker.ask(this.number, 0, "statistics");
    }
    return this.#statistics;
  }

  send(message: Uint8Array | string, { signal }: WaitOptions = {}): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed.value !== undefined) return Promise.reject(new SessionClosedError(this.#closed.value));
    let bytes: Uint8Array;
    try {
      bytes = messageBytes(message);
    } catch (error) {
      return Promise.reject(error);
    }
    const request = this.#nextRequest();
    const sent = deferred<void>();
    this.#sending ??= new Map();
    this.#sending.set(request, sent);
    this.#worker.send(this.number, request, bytes);
    return signal === undefined ? sent.promise : aborted(sent.promise, signal, () => {});
  }

  async ping({ signal }: WaitOptions = {}): Promise<number> {
    return (await this.#ask("ping", signal)) as number;
  }

  async confirm({ signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.transport === "udp") return;
    try {
      await this.#ask("confirm", signal);
    } catch (error) {
      // Something had been sent before: that is not known now.
      throw error instanceof SessionClosedError ? new DeliveryUnknownError(error.reason) : error;
    }
  }

  /** Its worker holds what was read against what it may hold, so only the count goes there. */
  accept(messages = 1): void {
    this.#unaccepted = countAfterAccepting(this.#unaccepted, messages);
    if (this.open && messages > 0) this.#worker.accept(this.number, messages);
  }

  async rekey({ signal }: WaitOptions = {}): Promise<void> {
    await this.#ask("rekey", signal);
  }

  close(): Promise<CloseReason> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  abort(): void {
    if (!this.open) return;
    this.#worker.abort(this.number);
    this.#settle({ code: "aborted" });
    this.inbox.end();
  }

  dismiss(cause: string): void {
    this.end({ code: "dismissed", cause });
    this.inbox.keepOnly(() => false);
  }

  /** The server ends this session for one of its own reasons. Nothing that comes from its worker is given out any more. */
  end(reason: CloseReason): void {
    if (!this.open) return;
    this.#worker.end(this.number, reason);
    this.#settle(reason);
    this.inbox.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The worker's word on this session. */
  onRecord(record: SessionRecord): void {
    switch (record.type) {
      case "proven":
        this.#proven.settle(true);
        break;
      case "moved":
        this.#peer = record.peer;
        break;
      case "unsent":
        this.#onUnsent(record.request, record.known);
        break;
      case "answer":
        this.#onAnswer(record.request, record.value);
        break;
      case "closed":
        this.#peer = record.peer;
        this.#breach = record.breach;
        this.#statistics = record.statistics;
        this.#settle(record.reason);
        break;
      case "finished":
        this.#giveUpSending();
        this.inbox.end();
        break;
    }
  }

  take(message: Uint8Array): void {
    // Ended here, and the worker had not heard of it: what it says is not wanted.
    if (this.inbox.ended) return;
    if (this.handsOver) {
      this.noteRead(message.length);
      this.handOver(message);
    } else if (this.inbox.push(message)) this.noteRead(message.length);
  }

  onSent(request: number): void {
    this.#takeSending(request)?.resolve();
  }

  /** Its worker is gone: what was under way to it may or may not have left. */
  onWorkerLost(message: string): void {
    this.#settle({ code: "transport-failed", message });
    this.#giveUpSending();
    this.inbox.end();
  }

  #settle(reason: CloseReason): void {
    if (!this.open) return;
    this.#closed.settle(reason);
    this.#proven.settle(false);
    for (const { reject } of this.#asked?.values() ?? []) reject(new SessionClosedError(reason));
    this.#asked = undefined;
    this.#owner.onClosed(this);
  }

  /** Ends when the worker has said the reason, as sessions of this process do. */
  async #close(): Promise<CloseReason> {
    if (this.open) this.#worker.ask(this.number, 0, "close");
    return this.closed;
  }

  /** The worker hears of it when a quarter of what may wait is free again: one small record for many messages. */
  protected noteRead(bytes: number): void {
    this.#unaccepted++;
    this.#readBytes += bytes + MESSAGE_COST;
    if (this.#readBytes < this.#window / 4 || !this.open) return;
    this.#worker.credit(this.number, this.#readBytes);
    this.#readBytes = 0;
  }

  #ask(verb: SessionVerb, signal: AbortSignal | undefined): Promise<number | true | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed.value !== undefined) return Promise.reject(new SessionClosedError(this.#closed.value));
    const request = this.#nextRequest();
    const answer = deferred<number | true | undefined>();
    this.#asked ??= new Map();
    this.#asked.set(request, answer);
    this.#worker.ask(this.number, request, verb);
    return signal === undefined ? answer.promise : aborted(answer.promise, signal, () => this.#asked?.delete(request));
  }

  #onAnswer(request: number, value: number | SessionStatistics | true | undefined): void {
    if (typeof value === "object") {
      this.#statistics = value;
      return;
    }
    const asked = this.#asked?.get(request);
    this.#asked?.delete(request);
    // Undefined: the session ended, and its reason is on the way.
    if (value === undefined) void this.closed.then((reason) => asked?.reject(new SessionClosedError(reason)));
    else asked?.resolve(value);
  }

  #takeSending(request: number): Deferred<void> | undefined {
    const sending = this.#sending?.get(request);
    this.#sending?.delete(request);
    if (this.#sending?.size === 0) this.#sending = undefined;
    return sending;
  }

  /** It failed because the session ended; the reason may be the worker's next word. */
  #onUnsent(request: number, known: boolean): void {
    const sending = this.#takeSending(request);
    void this.closed.then((reason) =>
      sending?.reject(known ? new SessionClosedError(reason) : new DeliveryUnknownError(reason)),
    );
  }

  /** Nobody answers for these any more: what crossed the end of the session on its way to the worker, or was there when the worker died. */
  #giveUpSending(): void {
    for (const request of [...(this.#sending?.keys() ?? [])]) this.#onUnsent(request, false);
  }

  #nextRequest(): number {
    this.#requests = (this.#requests + 1) >>> 0;
    return this.#requests;
  }
}

const NO_STATISTICS: SessionStatistics = {
  framesSent: 0,
  framesReceived: 0,
  bytesSent: 0,
  bytesReceived: 0,
  messagesSent: 0,
  messagesReceived: 0,
  retransmissions: 0,
  dropped: {},
  epoch: 0,
  roundTripMs: undefined,
};
