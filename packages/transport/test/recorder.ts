import type { DatagramHandlers, PeerAddress, StreamHandlers } from "@usmp/transport";

/** Wakes tests that wait for a condition; whoever changes state calls changed(). */
class Waiters {
  #waiting: { readonly condition: () => boolean; readonly resolve: () => void }[] = [];

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ condition, resolve });
      this.changed();
    });
  }

  changed(): void {
    this.#waiting = this.#waiting.filter((waiter) => {
      if (!waiter.condition()) return true;
      waiter.resolve();
      return false;
    });
  }
}

export type StreamCallback = "data" | "drain" | "end" | "close";

/** Handlers that write down what was called, in order. */
export class StreamRecorder implements StreamHandlers {
  readonly calls: StreamCallback[] = [];
  /** Why onClose was called; undefined for an orderly end, and before it. */
  closeError: Error | undefined;
  #received: Uint8Array[] = [];
  readonly #waiters = new Waiters();

  onData(chunk: Uint8Array): void {
    this.#received.push(Uint8Array.from(chunk));
    this.#record("data");
  }

  onDrain(): void {
    this.#record("drain");
  }

  onEnd(): void {
    this.#record("end");
  }

  onClose(error: Error | undefined): void {
    this.closeError = error;
    this.#record("close");
  }

  /** All bytes so far, joined. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  get receivedLength(): number {
    return this.#received.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  called(callback: StreamCallback): Promise<void> {
    return this.#waiters.until(() => this.calls.includes(callback));
  }

  receivedAtLeast(length: number): Promise<void> {
    return this.#waiters.until(() => this.receivedLength >= length);
  }

  #record(callback: StreamCallback): void {
    this.calls.push(callback);
    this.#waiters.changed();
  }
}

export class DatagramRecorder implements DatagramHandlers {
  readonly datagrams: { readonly text: string; readonly from: PeerAddress }[] = [];
  closeCalls = 0;
  closeError: Error | undefined;
  readonly #waiters = new Waiters();

  onDatagram(data: Uint8Array, from: PeerAddress): void {
    this.datagrams.push({ text: Buffer.from(data).toString(), from });
    this.#waiters.changed();
  }

  onClose(error: Error | undefined): void {
    this.closeCalls++;
    this.closeError = error;
    this.#waiters.changed();
  }

  get texts(): string[] {
    return this.datagrams.map((datagram) => datagram.text);
  }

  receivedAtLeast(count: number): Promise<void> {
    return this.#waiters.until(() => this.datagrams.length >= count);
  }

  get closed(): Promise<void> {
    return this.#waiters.until(() => this.closeCalls > 0);
  }
}
