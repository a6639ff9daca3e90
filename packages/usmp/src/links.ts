import { type CloseReason, type ConnectionEvent, copyBytes } from "@usmp/protocol";
import type { PeerAddress } from "@usmp/transport";
import type { Peer } from "./api.ts";
import type { DatagramDriver } from "./datagram-driver.ts";
import { DeliveryUnknownError, SessionClosedError } from "./errors.ts";
import type { SessionLink } from "./session.ts";
import type { StreamDriver } from "./stream-driver.ts";
import { aborted, type Deferred, DONE, deferred } from "./waiting.ts";

/** A session's link over TCP: a message is done when the transport has taken it. */
export class StreamLink implements SessionLink {
  readonly peer: Peer;
  readonly #driver: StreamDriver;
  #waiting = 0;
  #turn: Promise<void> = DONE;
  #reason: CloseReason | undefined;

  constructor(driver: StreamDriver, peer: PeerAddress) {
    this.#driver = driver;
    this.peer = { transport: "tcp", host: peer.host, port: peer.port };
  }

  get connection(): StreamDriver["connection"] {
    return this.#driver.connection;
  }

  send(message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (this.#driver.ready && this.#waiting === 0) {
      this.#seal(message);
      return DONE;
    }
    const sent = this.#sendInTurn(copyBytes(message), signal);
    return signal === undefined ? sent : aborted(sent, signal, () => {});
  }

  ping(): void {
    this.#driver.run((connection, now) => connection.ping(now));
  }

  rekey(): void {
    this.#driver.run((connection, now) => connection.rekey(now));
  }

  /** Messages that wait go first, as on UDP, while there is time. */
  close(): void {
    const sayBye = (): void => this.#driver.run((connection, now) => connection.close(now));
    if (this.#waiting === 0) return sayBye();
    const cancel = this.#driver.limitEnd(sayBye);
    void this.#turn.then(() => {
      cancel();
      sayBye();
    });
  }

  abort(reason?: CloseReason): void {
    this.#driver.run((connection) => connection.abort(reason));
  }

  dismiss(reason: CloseReason): void {
    this.#driver.run((connection, now) => connection.dismiss(reason, now));
  }

  pause(): void {
    this.#driver.pause();
  }

  resume(): void {
    this.#driver.resume();
  }

  accept(count: number): void {
    this.#driver.run((connection, now) => connection.acceptMessages(count, now));
  }

  gone(): Promise<void> {
    return this.#driver.gone();
  }

  onEvent(event: ConnectionEvent): void {
    if (event.type === "closed") this.#reason = event.reason;
  }

  /** Messages that had to wait go in the order in which they came; later ones line up behind them. */
  #sendInTurn(message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    this.#waiting++;
    const sent = this.#turn.then(async () => {
      try {
        while (!this.#driver.ready && this.#reason === undefined) await this.#driver.writable();
        if (signal?.aborted) throw signal.reason;
        if (this.#reason !== undefined) throw new SessionClosedError(this.#reason);
        this.#seal(message);
      } finally {
        this.#waiting--;
      }
    });
    this.#turn = sent.catch(() => {});
    return sent;
  }

  #seal(message: Uint8Array): void {
    this.#driver.noteSealed(message.length);
    this.#driver.run((connection, now) => connection.send(message, now));
  }
}

/** A session's link over UDP: a message is done when the peer has acknowledged it. */
export class DatagramLink implements SessionLink {
  readonly #driver: DatagramDriver;
  readonly #unacknowledged: Map<number, Deferred<void>> = new Map();

  constructor(driver: DatagramDriver) {
    this.#driver = driver;
  }

  get connection(): DatagramDriver["connection"] {
    return this.#driver.connection;
  }

  get peer(): Peer {
    const { host, port } = this.#driver.peer;
    return { transport: "udp", host, port };
  }

  send(message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const acknowledged = deferred<void>();
    this.#driver.run((connection, now) => {
      this.#unacknowledged.set(connection.send(message, now), acknowledged);
    });
    return signal === undefined ? acknowledged.promise : aborted(acknowledged.promise, signal, () => {});
  }

  ping(): void {
    this.#driver.run((connection, now) => connection.ping(now));
  }

  rekey(): void {
    this.#driver.run((connection, now) => connection.rekey(now));
  }

  close(): void {
    this.#driver.run((connection, now) => connection.close(now));
  }

  abort(reason?: CloseReason): void {
    this.#driver.run((connection) => connection.abort(reason));
  }

  dismiss(reason: CloseReason): void {
    this.#driver.run((connection, now) => connection.dismiss(reason, now));
  }

  pause(): void {
    this.#driver.pause();
  }

  resume(): void {
    this.#driver.resume();
  }

  accept(count: number): void {
    this.#driver.run((connection) => connection.acceptMessages(count));
  }

  /** What was sent is the kernel's as soon as it was sent. */
  gone(): Promise<void> {
    return DONE;
  }

  onEvent(event: ConnectionEvent): void {
    if (event.type === "acknowledged") this.#take(event.id)?.resolve();
    if (event.type !== "closed") return;
    for (const id of event.undelivered.unknown) this.#take(id)?.reject(new DeliveryUnknownError(event.reason));
    for (const id of event.undelivered.unsent) this.#take(id)?.reject(new SessionClosedError(event.reason));
  }

  #take(id: number): Deferred<void> | undefined {
    const waiting = this.#unacknowledged.get(id);
    this.#unacknowledged.delete(id);
    return waiting;
  }
}
