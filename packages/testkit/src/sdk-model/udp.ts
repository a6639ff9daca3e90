import {
  type Address,
  constants,
  type Datagram,
  encodeFrame,
  encodeUtack,
  FrameType,
  type Instant,
  Secret,
} from "@usmp/protocol";
import { clientHandshake, serverHandshake } from "./handshake.ts";
import { SdkPeer, type SdkPeerOptions } from "./peer.ts";
import { SdkUdpStream } from "./stream.ts";

const BARE_HELLO_LENGTH = 50;
const COOKIE_HELLO_LENGTH = BARE_HELLO_LENGTH + constants.COOKIE_LENGTH;
const COOKIE_SECRET_LENGTH = 32;
const COOKIE_BUCKET_MS = 30_000;
const FIRST_SESSION_TYPE = 5;
/** Handshakes under way from one address (F14 and its like, which tests on one host lift, stay out of the model). */
const MAX_HANDSHAKES_PER_IP = 3;

/** USMPClient over UDP. HELLO is ready to be polled from the start. */
export class SdkUdpClient extends SdkPeer {
  readonly #outbox: Uint8Array[] = [];
  readonly #stream: SdkUdpStream;

  constructor(options: SdkPeerOptions & { readonly deviceId: Uint8Array }, now: Instant) {
    super(options, now);
    this.#stream = new SdkUdpStream(
      false,
      (bytes) => this.#outbox.push(bytes),
      () => this.now,
    );
    const task = clientHandshake(options.crypto, this.#stream, options.psk, options.deviceId);
    this.handshake(this.#stream, task, () => {});
    this.advance(now);
  }

  handleDatagram(datagram: Uint8Array, now: Instant): void {
    this.now = now;
    this.#stream.feed(datagram);
    this.advance(now);
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#outbox.shift();
  }
}

/** One client of a USMPServer over UDP: known by its address alone (F15). */
class SdkUdpSession extends SdkPeer {
  readonly stream: SdkUdpStream;

  constructor(
    options: SdkPeerOptions,
    sendTo: (bytes: Uint8Array) => void,
    onSettled: (ok: boolean) => void,
    now: Instant,
  ) {
    super(options, now);
    this.stream = new SdkUdpStream(true, sendTo, () => this.now);
    this.handshake(this.stream, serverHandshake(options.crypto, this.stream, options.psk), onSettled);
  }

  feed(datagram: Uint8Array, now: Instant): void {
    this.now = now;
    this.stream.feed(datagram);
    this.advance(now);
  }
}

/** USMPServer and its UDPListener, with the caps per address lifted. */
export class SdkUdpServer {
  readonly #options: SdkPeerOptions;
  readonly #secret: Secret;
  readonly #outbox: Datagram[] = [];
  readonly #handshakes = new Map<string, SdkUdpSession>();
  readonly #sessions = new Map<string, SdkUdpSession>();
  /** Every session that began, also those that were replaced: their tasks go on. */
  readonly #all: SdkUdpSession[] = [];
  readonly #hostOf: (address: Address) => string;

  constructor(options: SdkPeerOptions, hostOf: (address: Address) => string = ({ key }) => key) {
    this.#options = options;
    this.#hostOf = hostOf;
    const secret = new Uint8Array(COOKIE_SECRET_LENGTH);
    options.crypto.randomFill(secret);
    this.#secret = Secret.adopt(secret);
  }

  /** Sessions and handshakes, in the order of their beginning. */
  get peers(): readonly SdkPeer[] {
    return this.#all;
  }

  pollTransmit(): Datagram | undefined {
    return this.#outbox.shift();
  }

  /** _handle_udp_datagram(): handshake types go to handshakes; all else to a handshake of that address, else its session. */
  handleDatagram(datagram: Uint8Array, from: Address, now: Instant): void {
    const isUtack = datagram.length >= constants.UTACK_LENGTH && datagram[0] === 0xac && datagram[1] === 0xac;
    const type = isUtack ? datagram[2] : datagram.length >= constants.HEADER_LENGTH ? datagram[3] : undefined;
    const handshake = this.#handshakes.get(from.key);
    if (type === undefined || type >= FIRST_SESSION_TYPE) {
      (handshake ?? this.#sessions.get(from.key))?.feed(datagram, now);
    } else if (handshake !== undefined) handshake.feed(datagram, now);
    else if (type === FrameType.HELLO) this.#onHello(datagram, from, now);
  }

  /** F9: nothing of a HELLO without cookie is remembered, and its answer is sent once. */
  #onHello(datagram: Uint8Array, from: Address, now: Instant): void {
    if (datagram.length === BARE_HELLO_LENGTH) {
      const seq = new DataView(datagram.buffer, datagram.byteOffset).getUint32(4, true);
      this.#outbox.push({ data: encodeUtack(datagram[3] as number, seq), to: from });
      this.#outbox.push({ data: encodeFrame(FrameType.HELLO_RETRY, 0, this.#cookie(from, now, 0)), to: from });
      return;
    }
    if (datagram.length !== COOKIE_HELLO_LENGTH) return;
    const cookie = datagram.subarray(BARE_HELLO_LENGTH);
    if (![0, 1].some((age) => Buffer.compare(this.#cookie(from, now, age), cookie) === 0)) return;
    const host = this.#hostOf(from);
    const underWay = [...this.#handshakes.keys()].filter((key) => this.#hostOf({ key }) === host);
    if (underWay.length >= MAX_HANDSHAKES_PER_IP) return;
    this.#begin(datagram, from, now);
  }

  #begin(hello: Uint8Array, from: Address, now: Instant): void {
    const session: SdkUdpSession = new SdkUdpSession(
      this.#options,
      (data) => this.#outbox.push({ data, to: from }),
      (ok) => {
        if (ok) {
          this.#sessions.get(from.key)?.stream.close();
          this.#sessions.set(from.key, session);
        }
        if (this.#handshakes.get(from.key) === session) this.#handshakes.delete(from.key);
      },
      now,
    );
    this.#handshakes.set(from.key, session);
    this.#all.push(session);
    session.feed(hello, now);
  }

  #cookie(from: Address, now: Instant, age: number): Uint8Array {
    const text = `${from.key}:${Math.floor(now / COOKIE_BUCKET_MS) - age}`;
    const mac = this.#options.crypto.hmacSha256(this.#secret, [new TextEncoder().encode(text)]);
    return mac.subarray(0, constants.COOKIE_LENGTH);
  }
}
