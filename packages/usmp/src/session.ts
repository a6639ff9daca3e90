import {
  type Address,
  type Breach,
  type CloseReason,
  type Connection,
  type ConnectionEvent,
  constants,
  copyBytes,
  UsageError,
} from "@usmp/protocol";
import type { MessageHandler, Move, Peer, Session, SessionStatistics, TransportName, WaitOptions } from "./api.ts";
import type { DatagramAddress } from "./datagram-driver.ts";
import { formatDeviceId, formatHex } from "./device-id.ts";
import type { ConnectionOwner } from "./driver.ts";
import { DeliveryUnknownError, SessionClosedError } from "./errors.ts";
import { Inbox, toResult } from "./inbox.ts";
import { DONE, Outcome, Waiters } from "./waiting.ts";

const encoder = new TextEncoder();

/** Messages that may wait unread, whatever their size: an empty one costs memory too. */
const MAX_UNREAD_MESSAGES = 4_096;

/** What a session needs of its driver, whatever the transport. */
export interface SessionLink {
  readonly connection: Connection;
  readonly peer: Peer;
  /** Sends one message as Session.send() promises, while the connection is established. */
  send(message: Uint8Array, signal: AbortSignal | undefined): Promise<void>;
  ping(): void;
  rekey(): void;
  /** Begins an orderly end. */
  close(): void;
  abort(reason?: CloseReason): void;
  /** Ends at once, with one BYE. */
  dismiss(reason: CloseReason): void;
  pause(): void;
  resume(): void;
  /** Resolves, after the end, when the last bytes have left this process or could not. */
  gone(): Promise<void>;
  /** Hears what concerns the link's own promises. */
  onEvent(event: ConnectionEvent): void;
}

/** Who is told what becomes of a session. */
export interface SessionHost {
  onMoment(moment: "proven" | "closed", session: LiveSession): void;
  onMoved(session: LiveSession, move: Move): void;
}

/** An established session over any transport: see Session in api.ts. */
export class LiveSession implements Session, ConnectionOwner {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly keyLabel: number | undefined;
  readonly #link: SessionLink;
  readonly #host: SessionHost | undefined;
  readonly #inbox: Inbox<Uint8Array> = new Inbox();
  readonly #pings: Waiters<number> = new Waiters();
  readonly #rekeys: Waiters<void> = new Waiters();
  readonly #closed: Outcome<CloseReason> = new Outcome();
  readonly #proven: Outcome<boolean> = new Outcome();
  readonly #receiveLimit: number;
  /** Hears each event after the session: a link that outlives it. */
  observer: ((event: ConnectionEvent) => void) | undefined;
  #onMessageHandler: MessageHandler | undefined;
  /** A handler's promise is awaited before the next message is handed over. */
  #handling = false;
  #unreadBytes = 0;
  #paused = false;
  #closing = false;
  #roundTripMs: number | undefined;

  /** `host` is the server that the session belongs to; a client's has none, and knows its peer from the start. */
  constructor(
    link: SessionLink,
    established: ConnectionEvent & { readonly type: "established" },
    receiveBufferBytes: number,
    host?: SessionHost,
    keyLabel?: number,
  ) {
    this.keyLabel = keyLabel;
    this.#link = link;
    this.#host = host;
    this.deviceId = formatDeviceId(established.deviceId);
    this.sessionId = formatHex(established.sessionId);
    this.#receiveLimit = receiveBufferBytes;
    if (host === undefined) this.#proven.settle(true);
  }

  get closed(): Promise<CloseReason> {
    return this.#closed.promise;
  }

  get proven(): Promise<boolean> {
    return this.#proven.promise;
  }

  get peer(): Peer {
    return this.#link.peer;
  }

  get transport(): TransportName {
    return this.#link.peer.transport;
  }

  get open(): boolean {
    return this.#closed.value === undefined;
  }

  /** PINGs that left, the transport's own pace aside, and PONGs that came: in order over TCP, merged at times over UDP. */
  get pings(): { readonly sent: number; readonly answered: number } {
    const { pingsSent, pongsReceived } = this.#link.connection.counters;
    return { sent: pingsSent, answered: pongsReceived };
  }

  /** Bytes of messages that nobody has read yet. */
  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** True while nothing is read from the transport, because the application is behind: the silence is ours then. */
  get deaf(): boolean {
    return this.#paused && this.transport === "tcp";
  }

  get breach(): Breach | undefined {
    return this.#link.connection.breach;
  }

  get statistics(): SessionStatistics {
    const { counters, epoch, roundTripMs } = this.#link.connection;
    return {
      framesSent: counters.framesSent,
      framesReceived: counters.framesReceived,
      bytesSent: counters.bytesSent,
      bytesReceived: counters.bytesReceived,
      messagesSent: counters.messagesSent,
      messagesReceived: counters.messagesReceived,
      retransmissions: counters.retransmissions,
      dropped: Object.fromEntries(counters.drops),
      epoch,
      roundTripMs: roundTripMs ?? this.#roundTripMs,
    };
  }

  get onMessage(): MessageHandler | undefined {
    return this.#onMessageHandler;
  }

  set onMessage(handler: MessageHandler | undefined) {
    this.#onMessageHandler = handler;
    if (handler !== undefined) this.#handOver();
  }

  send(message: Uint8Array | string, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed.value !== undefined) return Promise.reject(new SessionClosedError(this.#closed.value));
    let bytes: Uint8Array;
    try {
      bytes = messageBytes(message);
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#isClosing) return this.#rejectWhenClosed();
    return this.#link.send(bytes, signal);
  }

  receive({ signal }: WaitOptions = {}): Promise<Uint8Array | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const message = this.#inbox.poll();
    if (message === undefined) return this.#inbox.wait(signal);
    this.#noteRead(message.length);
    return Promise.resolve(message);
  }

  ping({ signal }: WaitOptions = {}): Promise<number> {
    return this.#request(this.#pings, signal, () => this.#link.ping());
  }

  rekey({ signal }: WaitOptions = {}): Promise<void> {
    return this.#request(this.#rekeys, signal, () => this.#link.rekey());
  }

  async close(): Promise<CloseReason> {
    if (this.open && !this.#closing) {
      this.#closing = true;
      this.#link.close();
    }
    const reason = await this.closed;
    await this.#link.gone();
    return reason;
  }

  abort(): void {
    this.#link.abort();
  }

  dismiss(cause: string): void {
    this.end({ code: "dismissed", cause });
    this.#inbox.keepOnly(() => false);
  }

  /** The server ends this session for one of its own reasons. */
  end(reason: CloseReason): void {
    this.#link.dismiss(reason);
  }

  /** Leaving the loop early leaves the session open. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return { next: () => this.#next() };
  }

  #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const message = this.#inbox.poll();
    if (message === undefined) return this.#inbox.waitForResult();
    this.#noteRead(message.length);
    return Promise.resolve(toResult(message));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  onEvent(event: ConnectionEvent): void {
    this.#link.onEvent(event);
    switch (event.type) {
      case "message":
        this.#onMessage(event.data);
        break;
      case "pong":
        this.#roundTripMs = event.roundTripMs;
        this.#pings.resolveAll(event.roundTripMs);
        break;
      case "rekeyed":
        this.#rekeys.resolveAll();
        break;
      case "proven":
        this.#proven.settle(true);
        this.#host?.onMoment("proven", this);
        break;
      case "moved":
        this.#host?.onMoved(this, moveOf(event.from, event.to, event.proven));
        break;
      case "path-proven":
        this.#host?.onMoved(this, moveOf(event.from, event.address, true));
        break;
      case "closed":
        this.#onClosed(event.reason);
        break;
    }
    this.observer?.(event);
  }

  #onMessage(data: Uint8Array): void {
    if (this.#onMessageHandler !== undefined && !this.#handling && this.#inbox.length === 0) {
      return this.#handle(this.#onMessageHandler, data);
    }
    if (this.#inbox.give(data)) return;
    // It lies in memory that much else shared, which it must not hold while it waits.
    this.#inbox.keep(copyBytes(data));
    this.#unreadBytes += data.length;
    if (this.#paused || !this.#full()) return;
    this.#paused = true;
    this.#link.pause();
  }

  #handle(handler: MessageHandler, message: Uint8Array): void {
    try {
      const handled = handler(message);
      if (handled === undefined || handled === DONE) return;
      this.#handling = true;
      const goOn = (): void => this.#onHandled();
      handled.then(goOn, (error: unknown) => {
        goOn();
        // The session's end is told by `closed`; all else is the application's to see.
        if (!(error instanceof SessionClosedError || error instanceof DeliveryUnknownError)) throw error;
      });
    } catch (error) {
      // Not into the pump, which has more to do.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #onHandled(): void {
    this.#handling = false;
    this.#handOver();
  }

  /** Hands over what was kept, until a handler takes its time. */
  #handOver(): void {
    while (this.#onMessageHandler !== undefined && !this.#handling) {
      const message = this.#inbox.poll();
      if (message === undefined) return;
      this.#noteRead(message.length);
      this.#handle(this.#onMessageHandler, message);
    }
  }

  /** Lets the peer go on when half of what may wait is free again. */
  #noteRead(bytes: number): void {
    this.#unreadBytes -= bytes;
    const free = this.#unreadBytes <= this.#receiveLimit / 2 && this.#inbox.length <= MAX_UNREAD_MESSAGES / 2;
    if (!this.#paused || !this.open || !free) return;
    this.#paused = false;
    this.#link.resume();
  }

  #full(): boolean {
    return this.#unreadBytes >= this.#receiveLimit || this.#inbox.length >= MAX_UNREAD_MESSAGES;
  }

  #onClosed(reason: CloseReason): void {
    this.#pings.rejectAll(() => new SessionClosedError(reason));
    this.#rekeys.rejectAll(() => new SessionClosedError(reason));
    this.#proven.settle(false);
    this.#closed.settle(reason);
    this.#inbox.end();
    this.#host?.onMoment("closed", this);
  }

  #request<T>(waiters: Waiters<T>, signal: AbortSignal | undefined, ask: () => void): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed.value !== undefined) return Promise.reject(new SessionClosedError(this.#closed.value));
    if (this.#isClosing) return this.#rejectWhenClosed();
    const asked = waiters.waiting;
    const answer = waiters.wait(signal);
    if (!asked) ask();
    return answer;
  }

  get #isClosing(): boolean {
    return this.#closing || this.#link.connection.state !== "established";
  }

  /** While the session is closing nothing more can be asked of it: the answer is the close that follows. */
  async #rejectWhenClosed(): Promise<never> {
    throw new SessionClosedError(await this.closed);
  }
}

/** The core hands addresses back as its driver gave them. */
function moveOf(from: Address, to: Address, proven: boolean): Move {
  const peerOf = ({ host, port }: DatagramAddress): Peer => ({ transport: "udp", host, port });
  return { from: peerOf(from as DatagramAddress), to: peerOf(to as DatagramAddress), proven };
}

/** The bytes of a message as the application gave it. Throws UsageError "message-too-long". */
export function messageBytes(message: Uint8Array | string): Uint8Array {
  const bytes = typeof message === "string" ? encoder.encode(message) : message;
  if (bytes.length <= constants.MAX_MESSAGE_LENGTH) return bytes;
  throw new UsageError(
    "message-too-long",
    `message of ${bytes.length} bytes: at most ${constants.MAX_MESSAGE_LENGTH} fit (spec section 4); split it`,
  );
}
