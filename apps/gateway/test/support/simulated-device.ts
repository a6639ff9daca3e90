import { type CloseReason, DeliveryUnknownError, type Session, SessionClosedError, type TransportName } from "usmp";
import type { GatewaySession } from "../../src/gateway/gateway.ts";

interface OnTheWire {
  readonly data: Uint8Array;
  arrived: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const CUT: CloseReason = { code: "aborted" };

/**
 * One session of a device as a queue sees it, whose network does what a test says. TCP: send() resolves at once, and confirm() when the device
 * has all that was sent before. UDP: send() resolves when the device has the message.
 */
export class SimulatedSession {
  readonly deviceId: string;
  readonly transport: TransportName;
  readonly closed: Promise<CloseReason>;
  readonly proven: Promise<boolean>;
  open = true;
  pinged = 0;
  /** Sent, in order, and not acknowledged. */
  readonly wire: OnTheWire[] = [];
  readonly #confirming: { behind: OnTheWire | undefined; resolve(): void; reject(error: Error): void }[] = [];
  readonly #onArrival: (data: Uint8Array) => void;
  #end: (reason: CloseReason) => void = () => {};
  #prove: (proven: boolean) => void = () => {};

  constructor(deviceId: string, transport: TransportName, onArrival: (data: Uint8Array) => void, proven = true) {
    this.deviceId = deviceId;
    this.transport = transport;
    this.#onArrival = onArrival;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.proven = new Promise((resolve) => {
      this.#prove = resolve;
    });
    if (proven) this.prove();
  }

  get admitted(): GatewaySession {
    return { session: this as unknown as Session, generation: 1 };
  }

  prove(): void {
    this.#prove(true);
  }

  async ping(): Promise<number> {
    this.pinged++;
    return 1;
  }

  send(data: Uint8Array): Promise<void> {
    if (!this.open) return Promise.reject(new SessionClosedError(CUT));
    const acknowledged = new Promise<void>((resolve, reject) => {
      this.wire.push({ data, arrived: false, resolve, reject });
    });
    if (this.transport === "udp") return acknowledged;
    acknowledged.catch(() => {});
    return Promise.resolve();
  }

  confirm(): Promise<void> {
    if (this.transport === "udp") return Promise.resolve();
    if (!this.open) return Promise.reject(new DeliveryUnknownError(CUT));
    return new Promise((resolve, reject) => {
      this.#confirming.push({ behind: this.wire.at(-1), resolve, reject });
      this.#resolveConfirmed();
    });
  }

  /** The next messages reach the device; it has not said so yet. */
  arrive(count = Number.POSITIVE_INFINITY): void {
    for (const message of this.wire.filter(({ arrived }) => !arrived).slice(0, count)) {
      message.arrived = true;
      this.#onArrival(message.data);
    }
  }

  /** What reached the device is acknowledged. */
  acknowledge(): void {
    while (this.wire[0]?.arrived) this.wire.shift()?.resolve();
    this.#resolveConfirmed();
  }

  /** The session ends. Over UDP so many that have not arrived had begun to leave: nobody knows whether they will have. */
  cut(begun = 0): void {
    if (!this.open) return;
    this.open = false;
    let unsure = this.wire.filter(({ arrived }) => arrived).length + begun;
    for (const { reject } of this.wire.splice(0))
      reject(unsure-- > 0 ? new DeliveryUnknownError(CUT) : new SessionClosedError(CUT));
    for (const { reject } of this.#confirming.splice(0)) reject(new DeliveryUnknownError(CUT));
    this.#prove(false);
    this.#end(CUT);
  }

  #resolveConfirmed(): void {
    while (this.#confirming.length > 0) {
      const first = this.#confirming[0];
      if (first?.behind !== undefined && this.wire.includes(first.behind)) return;
      this.#confirming.shift()?.resolve();
    }
  }
}
