/**
 * What the driver needs of a transport. A transport moves bytes and tells of its end; it knows nothing of USMP.
 * Handlers are set once by `start()`, before which nothing is delivered; every callback comes on a later turn or from the
 * event loop, never from inside a call that the driver makes.
 */

/** Where a peer is: shown to people, compared as a whole. IPv6 hosts have no brackets here. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

export interface StreamHandlers {
  /** A chunk as it came. Its memory is used again: whoever keeps any of it takes a copy. */
  onData(chunk: Uint8Array): void;
  /** All that was written has left for the kernel, after write() answered false. */
  onDrain(): void;
  /** The peer ended its side in order. Nothing comes after it but onClose. */
  onEnd(): void;
  /** The last callback: undefined after an orderly end, else why. */
  onClose(error: Error | undefined): void;
}

/** An ordered byte stream: TCP, or a pair in memory. */
export interface StreamTransport {
  readonly kind: "tcp" | "memory";
  readonly peer: PeerAddress;
  start(handlers: StreamHandlers): void;
  /**
   * Hands bytes over in order, without a copy: the caller must not change them. False: more than the high-water mark waits, or
   * nothing is taken any more because the stream has ended (onClose follows then, not onDrain).
   */
  write(bytes: Uint8Array): boolean;
  /** Stops and restarts onData: this is how backpressure reaches the peer. */
  pause(): void;
  resume(): void;
  /**
   * Sends what waits, then ends our side. Reading goes on, even after pause(), until the peer ends too: then onClose comes. A peer
   * that never ends, or never reads, holds that up; whoever cannot wait calls destroy().
   */
  end(): void;
  /** Ends now. Idempotent. */
  destroy(): void;
}

export interface StreamListener {
  readonly address: PeerAddress;
  /** Stops accepting; open connections stay. Idempotent. */
  close(): Promise<void>;
}

export interface DatagramHandlers {
  /** One datagram as it came, and who sent it; `data` is the receiver's to keep. */
  onDatagram(data: Uint8Array, from: PeerAddress): void;
  /** The socket is gone; the last callback. */
  onClose(error: Error | undefined): void;
}

/** A bound datagram socket: one for a server's all peers, or a client's that knows its only peer. */
export interface DatagramTransport {
  readonly kind: "udp" | "memory";
  readonly address: PeerAddress;
  start(handlers: DatagramHandlers): void;
  /** Sends without a copy and without an answer: loss and ICMP errors are the sender's ARQ to mend (spec section 6). */
  send(data: Uint8Array, to: PeerAddress): void;
  /** Idempotent. What was sent before still leaves. */
  close(): void;
}

/** A client's socket. It delivers nothing that did not come from its peer. */
export interface ConnectedDatagramTransport extends DatagramTransport {
  /** Where the name that was given led to: send() to this. */
  readonly peer: PeerAddress;
}
