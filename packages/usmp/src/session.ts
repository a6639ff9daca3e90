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
import type { Move, Peer, Session, SessionStatistics, TransportName, WaitOptions } from "./api.ts";
import { Confirmations } from "./confirmations.ts";
import type { DatagramAddress } from "./datagram-driver.ts";
import { formatDeviceId, formatHex } from "./device-id.ts";
import type { ConnectionOwner } from "./driver.ts";
import { DeliveryUnknownError, SessionClosedError } from "./errors.ts";
import { MessageReader } from "./message-reader.ts";
import type { Unread } from "./unread.ts";
import { aborted, Outcome, Waiters } from "./waiting.ts";

const encoder = new TextEncoder();

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
  /** So many messages, of all that came, are safe. */
  accept(count: number): void;
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
export class LiveSession extends MessageReader implements Session, ConnectionOwner {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly keyLabel: number | undefined;
  readonly #link: SessionLink;
  readonly #host: SessionHost | undefined;
  readonly #pings: Waiters<number> = new Waiters();
  readonly #rekeys: Waiters<void> = new Waiters();
  readonly #closed: Outcome<CloseReason> = new Outcome();
  readonly #proven: Outcome<boolean> = new Outcome();
  readonly #unread: Unread;
  /** Made when it is first asked for: thousands of idle sessions need none. */
  #confirmations: Confirmations | undefined;
  /** Hears each event after the session: a link that outlives it. */
  observer: ((event: ConnectionEvent) => void) | undefined;
  #paused = false;
  #closing = false;
  #roundTripMs: number | undefined;

  /** `host` is the server that the session belongs to; a client's has none, and knows its peer from the start. */
  constructor(
    link: SessionLink,
    established: ConnectionEvent & { readonly type: "established" },
    unread: Unread,
    host?: SessionHost,
    keyLabel?: number,
  ) {
    super();
    this.keyLabel = keyLabel;
    this.#link = link;
    this.#host = host;
    this.deviceId = formatDeviceId(established.deviceId);
    this.sessionId = formatHex(established.sessionId);
    this.#unread = unread;
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
    return this.#unread.bytes;
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

  accept(messages = 1): void {
    const accepted = this.#unread.accept(messages);
    if (accepted === undefined || !this.open) return;
    this.#link.accept(accepted);
    this.#resumeIfFree();
  }

  ping({ signal }: WaitOptions = {}): Promise<number> {
    return this.#request(this.#pings, signal, () => this.#link.ping());
  }

  confirm({ signal }: WaitOptions = {}): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    // Over UDP send() has waited for the acknowledgement already.
    if (this.transport === "udp") return Promise.resolve();
    if (this.#closed.value !== undefined) return Promise.reject(new DeliveryUnknownError(this.#closed.value));
    this.#confirmations ??= new Confirmations(() => {
      if (!this.#isClosing) this.#link.ping();
    });
    const confirmed = this.#confirmations.wait(this.pings);
    return signal === undefined ? confirmed : aborted(confirmed, signal, () => {});
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
    this.inbox.keepOnly(() => false);
  }

  /** The server ends this session for one of its own reasons. */
  end(reason: CloseReason): void {
    this.#link.dismiss(reason);
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
        this.#confirmations?.onPong(this.pings);
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
    if (this.handsOver) {
      this.#unread.noteReceived(data.length, true);
      this.handOver(data);
    } else {
      const given = this.inbox.give(data);
      // It lies in memory that much else shared, which it must not hold while it waits.
      if (!given) this.inbox.keep(copyBytes(data));
      this.#unread.noteReceived(data.length, given);
    }
    if (this.#paused || !this.#unread.full) return;
    this.#paused = true;
    this.#link.pause();
  }

  /** Lets the peer go on when half of what may wait is free again. */
  protected noteRead(bytes: number): void {
    this.#unread.noteRead(bytes);
    this.#resumeIfFree();
  }

  #resumeIfFree(): void {
    if (!this.#paused || !this.open || !this.#unread.halfFree) return;
    this.#paused = false;
    this.#link.resume();
  }

  #onClosed(reason: CloseReason): void {
    this.#pings.rejectAll(() => new SessionClosedError(reason));
    this.#rekeys.rejectAll(() => new SessionClosedError(reason));
    this.#confirmations?.onClosed(reason);
    this.#proven.settle(false);
    this.#closed.settle(reason);
    this.inbox.end();
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
