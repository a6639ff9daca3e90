import type { Duplex } from "node:stream";
import { deserialize, serialize } from "node:v8";

/** length(4) of what follows, kind(1), then the body. */
const HEADER_LENGTH = 5;
/** Records of one turn of the event loop leave in blocks of this size. */
const BLOCK_BYTES = 65_536;
/** Nothing that either end sends comes near it: a record that claims more is a fault of ours. */
const MAX_RECORD_BYTES = 1_048_576;

/** What hears a channel. `body` is a view that is valid during the call alone, and may be wiped by it. */
export interface ChannelHandlers {
  onRecord(kind: number, body: Buffer): void;
  /** The other end is gone: the last call. */
  onClose(): void;
}

/**
 * Records between two processes over a stream socket. Those of one turn of the event loop leave in one write and mostly arrive in one
 * read: a system call costs ten times what a record does.
 */
export class Channel {
  readonly #stream: Duplex;
  readonly #handlers: ChannelHandlers;
  #block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #start = 0;
  #end = 0;
  #scheduled = false;
  #left: Buffer | undefined;
  #closed = false;
  #drained: (() => void)[] = [];

  constructor(stream: Duplex, handlers: ChannelHandlers) {
    this.#stream = stream;
    this.#handlers = handlers;
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("drain", () => this.#onDrain());
    stream.on("error", () => {});
    stream.on("close", () => this.#onClose());
  }

  /** True while so much waits that whoever can should wait for writable(). */
  get full(): boolean {
    return this.#stream.writableLength >= MAX_RECORD_BYTES && !this.#closed;
  }

  /** Resolves when `full` has become false, or the channel has closed. */
  writable(): Promise<void> {
    if (!this.full) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Sends a record whose body is `head` unsigned 32-bit numbers and then bytes. */
  send(kind: number, first: number, second: number, bytes: Uint8Array): void {
    const at = this.#reserve(kind, 8 + bytes.length);
    if (at === undefined) return;
    this.#block.writeUInt32LE(first, at);
    this.#block.writeUInt32LE(second, at + 4);
    this.#block.set(bytes, at + 8);
  }

  /** Sends a record that is a value, as structured clone takes it. */
  sendValue(kind: number, value: unknown): void {
    const bytes = serialize(value);
    const at = this.#reserve(kind, bytes.length);
    if (at !== undefined) this.#block.set(bytes, at);
  }

  /** Sends a record that holds secrets, by itself, and wipes `body` when the kernel has it. */
  sendSecret(kind: number, body: Uint8Array): void {
    this.flush();
    const record = Buffer.allocUnsafeSlow(HEADER_LENGTH + body.length);
    record.writeUInt32LE(body.length + 1, 0);
    record[4] = kind;
    record.set(body, HEADER_LENGTH);
    body.fill(0);
    if (this.#closed) record.fill(0);
    else this.#stream.write(record, () => record.fill(0));
  }

  /** Hands over what was sent in this turn. */
  flush(): void {
    this.#scheduled = false;
    if (this.#start === this.#end) return;
    const ready = this.#block.subarray(this.#start, this.#end);
    this.#start = this.#end;
    if (!this.#closed) this.#stream.write(ready);
  }

  /** Sends what waits, then ends. */
  end(): void {
    this.flush();
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  /** Where a body of so many bytes goes; undefined when nobody takes it any more. */
  #reserve(kind: number, length: number): number | undefined {
    if (this.#closed) return undefined;
    const size = HEADER_LENGTH + length;
    if (this.#end + size > this.#block.length) {
      this.flush();
      this.#block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, size));
      this.#start = 0;
      this.#end = 0;
    }
    this.#block.writeUInt32LE(length + 1, this.#end);
    this.#block[this.#end + 4] = kind;
    this.#end += size;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(flushChannel, this);
    }
    return this.#end - length;
  }

  #onData(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#left !== undefined) {
      bytes = Buffer.concat([this.#left, chunk]);
      // Either may have held part of a secret.
      this.#left.fill(0);
      chunk.fill(0);
      this.#left = undefined;
    }
    let at = 0;
    while (bytes.length - at >= HEADER_LENGTH) {
      const length = bytes.readUInt32LE(at);
      if (length < 1 || length > MAX_RECORD_BYTES + HEADER_LENGTH) {
        this.#stream.destroy();
        return;
      }
      const end = at + 4 + length;
      if (end > bytes.length) break;
      this.#handlers.onRecord(bytes[at + 4] as number, bytes.subarray(at + HEADER_LENGTH, end));
      at = end;
    }
    if (at === bytes.length) return;
    this.#left = Buffer.from(bytes.subarray(at));
    // It may be part of a secret, which is wiped where it is read whole.
    bytes.fill(0, at);
  }

  #onDrain(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onDrain();
    this.#handlers.onClose();
  }
}

/** The value of a record that sendValue() sent. Bytes in it are views of the body: what wipes them wipes that. */
export function readValue(body: Buffer): unknown {
  return deserialize(body);
}

function flushChannel(channel: Channel): void {
  channel.flush();
}
