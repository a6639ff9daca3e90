import type { Instant } from "@usmp/protocol";
import { clientHandshake, serverHandshake } from "./handshake.ts";
import { SdkPeer, type SdkPeerOptions } from "./peer.ts";
import { SdkTcpStream } from "./stream.ts";

/** One connection of the SDK over TCP: USMPClient with a device id, one connection of a USMPServer without. */
export class SdkTcpPeer extends SdkPeer {
  readonly #outbox: Uint8Array[] = [];
  readonly #stream: SdkTcpStream;
  #ended = false;

  constructor(options: SdkPeerOptions & { readonly deviceId?: Uint8Array | undefined }, now: Instant) {
    super(options, now);
    this.#stream = new SdkTcpStream(
      (bytes) => this.#outbox.push(bytes),
      () => {
        this.#ended = true;
      },
    );
    const { crypto, psk, deviceId } = options;
    const task =
      deviceId === undefined
        ? serverHandshake(crypto, this.#stream, psk)
        : clientHandshake(crypto, this.#stream, psk, deviceId);
    this.handshake(this.#stream, task, () => {});
    this.advance(now);
  }

  /** True once the SDK has closed its side: after what pollTransmit() still has. */
  get ended(): boolean {
    return this.#ended;
  }

  handleBytes(bytes: Uint8Array, now: Instant): void {
    this.now = now;
    this.#stream.feed(bytes);
    this.advance(now);
  }

  handleEnd(now: Instant): void {
    this.#stream.feedEnd();
    this.advance(now);
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#outbox.shift();
  }
}
