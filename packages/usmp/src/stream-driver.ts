import { addMs, copyBytes, type Instant, type StreamConnection } from "@usmp/protocol";
import type { StreamHandlers, StreamTransport } from "@usmp/transport";
import type { Clock } from "./clock.ts";
import { Driver } from "./driver.ts";
import type { Turnstile } from "./turnstile.ts";
import { Outcome, Waiters } from "./waiting.ts";

/** What may be sealed before its sender has to wait for the next turn of the event loop, so that others have theirs. */
const TURN_BYTES = 65_536;
/** What of a handshake may wait for its turn: two frames of any size. */
const MAX_WAITING_BYTES = 1_024;
/** How long an end may take: what waits to be sealed, and the last bytes on their way to the kernel. */
const LINGER_MS = 1_000;

/** Drives a connection over an in-order transport. Frames that become ready in one turn leave in one write. */
export class StreamDriver extends Driver<StreamConnection> implements StreamHandlers {
  readonly #transport: StreamTransport;
  readonly #released: (() => void) | undefined;
  readonly #writable: Waiters<void> = new Waiters();
  readonly #gone: Outcome<void> = new Outcome();
  /** A server's, until the handshake is done: its work waits for its turn there. */
  turnstile: Turnstile | undefined;
  #begun = false;
  #flushScheduled = false;
  #reading = false;
  #blocked = false;
  #turnBytes = 0;
  #turnScheduled = false;
  #destroyed = false;
  #cancelLinger: (() => void) | undefined;
  #endBy: Instant | undefined;

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

  /** Notes that an application's message was sealed. */
  noteSealed(bytes: number): void {
    this.#turnBytes += bytes;
    if (!this.#turnScheduled && this.#turnBytes >= TURN_BYTES) {
      this.#turnScheduled = true;
      setImmediate(onTurn, this);
    }
  }

  /** For onTurn(): a turn of the event loop has passed. */
  endTurn(): void {
    this.#turnScheduled = false;
    this.#turnBytes = 0;
    if (this.ready) this.#writable.resolveAll();
  }

  /** For onFlush(): hands over what has become ready in this turn. */
  flush(): void {
    this.#flushScheduled = false;
    for (let bytes = this.connection.pollTransmit(); bytes !== undefined; bytes = this.connection.pollTransmit()) {
      if (!this.#transport.write(bytes)) this.#blocked = true;
    }
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

  /** From now on the end may take LINGER_MS in all. Calls `late` when they are over; the answer cancels that. */
  limitEnd(late: () => void): () => void {
    this.#endBy = addMs(this.clock.now(), LINGER_MS);
    return this.clock.schedule(this.#endBy, late);
  }

  /** Resolves when the transport is gone: what it had taken has left, or could not. */
  gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Lets go of the transport, whatever it still holds. */
  destroy(): void {
    this.#transport.destroy();
  }

  onData(chunk: Uint8Array): void {
    if (this.turnstile !== undefined) this.#takeTurn(this.turnstile, chunk);
    else this.#handle(chunk);
  }

  #handle(chunk: Uint8Array): void {
    this.#reading = true;
    try {
      this.connection.handleBytes(chunk, this.clock.now());
      this.drain();
    } finally {
      this.#reading = false;
    }
    // What was answered at once leaves at once, and in one piece: a message, a PONG, the next step of a handshake.
    if (!this.#flushScheduled && this.connection.hasTransmit) this.flush();
  }

  /** While a chunk waits, nothing more is read: what comes after it keeps its order. */
  #takeTurn(turnstile: Turnstile, chunk: Uint8Array): void {
    const finishing = this.#begun;
    this.#begun = true;
    if (!turnstile.busy) return turnstile.pass(() => this.#handle(chunk));
    // No step of a handshake is so long: it is looked at now, where it fails, and keeps no memory. Its cost counts.
    if (chunk.length > MAX_WAITING_BYTES) return turnstile.pass(() => this.#handle(chunk));
    this.#transport.pause();
    // The transport reads into the chunk's memory again.
    const kept = copyBytes(chunk);
    const handleLater = (): void => {
      if (this.#destroyed) return;
      this.#transport.resume();
      this.#handle(kept);
    };
    turnstile.wait(handleLater, finishing);
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
    this.#gone.settle();
  }

  protected override transmit(): void {
    if (this.#flushScheduled || this.#reading || !this.connection.hasTransmit) return;
    this.#flushScheduled = true;
    process.nextTick(onFlush, this);
  }

  protected override onClosed(orderly: boolean): void {
    if (this.#destroyed) return;
    this.flush();
    if (orderly) {
      this.#transport.end();
      const lingerEnd = this.#endBy ?? addMs(this.clock.now(), LINGER_MS);
      this.#cancelLinger = this.clock.schedule(lingerEnd, () => this.#transport.destroy());
    } else this.#transport.destroy();
    this.#writable.resolveAll();
  }
}

// Shared by all drivers, so that none needs closures of its own.
function onFlush(driver: StreamDriver): void {
  driver.flush();
}

function onTurn(driver: StreamDriver): void {
  driver.endTurn();
}
