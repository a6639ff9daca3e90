import { addMs, type StreamConnection } from "@usmp/protocol";
import type { StreamHandlers, StreamTransport } from "@usmp/transport";
import type { Clock } from "./clock.ts";
import { Driver } from "./driver.ts";
import { Waiters } from "./waiting.ts";

/** What may be sealed in one turn of the event loop before its sender has to let others have theirs. */
const TURN_BYTES = 65_536;
/** How long an ended connection may take to hand its last bytes to the kernel. */
const LINGER_MS = 1_000;

/** Drives a connection over an in-order transport. Frames that become ready in one turn leave in one write. */
export class StreamDriver extends Driver<StreamConnection> implements StreamHandlers {
  readonly #transport: StreamTransport;
  readonly #writable: Waiters<void> = new Waiters();
  readonly #released: (() => void) | undefined;
  #gone: Waiters<void> | undefined;
  #flushScheduled = false;
  #blocked = false;
  #turnBytes = 0;
  #destroyed = false;
  #cancelLinger: (() => void) | undefined;

  /** `released` is called once the transport is gone. */
  constructor(connection: StreamConnection, transport: StreamTransport, clock: Clock, released?: () => void) {
    super(connection, clock);
    this.#transport = transport;
    this.#released = released;
  }

  start(): void {
    this.#transport.start(this);
    this.drain();
  }

  /** True when a message may be sealed now; else writable() says when. */
  get ready(): boolean {
    return !this.#blocked && this.#turnBytes < TURN_BYTES;
  }

  /** Resolves when `ready` may have become true, or the connection has ended. */
  writable(): Promise<void> {
    return this.#writable.wait(undefined);
  }

  /** Notes that an application's message was sealed in this turn. */
  noteSealed(bytes: number): void {
    if (this.#turnBytes === 0) setImmediate(this.#onTurn);
    this.#turnBytes += bytes;
  }

  pause(): void {
    this.#transport.pause();
    this.connection.pauseReceiving();
    this.drain();
  }

  resume(): void {
    this.#transport.resume();
    this.run((connection, now) => connection.resumeReceiving(now));
  }

  /** Resolves when the transport is gone: what it had taken has left, or could not. */
  gone(): Promise<void> {
    if (this.#destroyed) return Promise.resolve();
    this.#gone ??= new Waiters();
    return this.#gone.wait(undefined);
  }

  onData(chunk: Uint8Array): void {
    this.connection.handleBytes(chunk, this.clock.now());
    this.drain();
  }

  onDrain(): void {
    this.#blocked = false;
    if (this.ready) this.#writable.resolveAll();
  }

  onEnd(): void {
    this.run((connection) => connection.handleEnd());
  }

  onClose(error: Error | undefined): void {
    this.#destroyed = true;
    this.#cancelLinger?.();
    this.run((connection) => {
      if (error === undefined) connection.handleEnd();
      else connection.abort({ code: "transport-failed", message: error.message });
    });
    this.#blocked = false;
    this.#writable.resolveAll();
    this.#released?.();
    this.#gone?.resolveAll();
  }

  protected override transmit(): void {
    if (this.#flushScheduled || !this.connection.hasTransmit) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flush);
  }

  protected override onClosed(orderly: boolean): void {
    if (this.#destroyed) return;
    this.#flush();
    if (orderly) {
      this.#transport.end();
      const lingerEnd = addMs(this.clock.now(), LINGER_MS);
      this.#cancelLinger = this.clock.schedule(lingerEnd, () => this.#transport.destroy());
    } else this.#transport.destroy();
    this.#writable.resolveAll();
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    for (let bytes = this.connection.pollTransmit(); bytes !== undefined; bytes = this.connection.pollTransmit()) {
      if (!this.#transport.write(bytes)) this.#blocked = true;
    }
  };

  readonly #onTurn = (): void => {
    this.#turnBytes = 0;
    if (this.ready) this.#writable.resolveAll();
  };
}
