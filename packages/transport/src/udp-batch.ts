import type { Socket } from "node:dgram";
import { MAPPED_PREFIX } from "./address.ts";
import type { PeerAddress } from "./transport.ts";

/** Sends several datagrams in one system call: the native addon's, on Linux. */
export interface DatagramSender {
  /**
   * The datagrams stand back to back in `bytes`; `table` has 20 bytes for each of `count`: length u16, port u16 (little-endian), address in its
   * IPv6 form. Answers how many are done with; the rest found the socket's buffer full. Throws when the socket is none.
   */
  sendDatagrams(fd: number, ipv6: boolean, bytes: Uint8Array, table: Uint8Array, count: number): number;
}

const MOST = 64;
/** A whole batch of the longest frames (spec section 2: 492 bytes), and some. */
const ROOM = 32_768;
const ENTRY_LENGTH = 20;
const ADDRESS_LENGTH = 16;

/**
 * Datagrams that leave together at the end of a turn of the event loop. Node's own way costs 2 us of CPU more for each
 * (docs/native.md): a request object, a look-up, a system call of its own.
 */
export class UdpBatch {
  readonly #sender: DatagramSender;
  readonly #fd: number;
  readonly #ipv6: boolean;
  /** Sends in Node's way what the kernel did not take now: it has a queue for that. */
  readonly #sendLater: (data: Uint8Array, to: PeerAddress) => void;
  readonly #bytes = new Uint8Array(ROOM);
  readonly #table = new Uint8Array(MOST * ENTRY_LENGTH);
  readonly #destinations: PeerAddress[] = [];
  readonly #addresses = new AddressBytes();
  #filled = 0;
  #planned = false;

  constructor(
    sender: DatagramSender,
    fd: number,
    ipv6: boolean,
    sendLater: (data: Uint8Array, to: PeerAddress) => void,
  ) {
    this.#sender = sender;
    this.#fd = fd;
    this.#ipv6 = ipv6;
    this.#sendLater = sendLater;
  }

  /** Takes a copy of the datagram; false when it is none for a batch: too long, or to an address with a zone. */
  add(data: Uint8Array, to: PeerAddress): boolean {
    const address = this.#addresses.of(to.host);
    if (address === undefined || data.length > ROOM) return false;
    if (this.#destinations.length === MOST || this.#filled + data.length > ROOM) this.flush();
    const entry = this.#destinations.length * ENTRY_LENGTH;
    this.#table[entry] = data.length;
    this.#table[entry + 1] = data.length >>> 8;
    this.#table[entry + 2] = to.port;
    this.#table[entry + 3] = to.port >>> 8;
    this.#table.set(address, entry + ENTRY_LENGTH - ADDRESS_LENGTH);
    this.#bytes.set(data, this.#filled);
    this.#filled += data.length;
    this.#destinations.push(to);
    if (!this.#planned) {
      this.#planned = true;
      setImmediate(this.#onTurnEnd);
    }
    return true;
  }

  /** Hands everything to the kernel now. */
  flush(): void {
    const count = this.#destinations.length;
    if (count === 0) return;
    const done = this.#sent(count);
    let offset = 0;
    for (let i = 0; i < count; i++) {
      const entry = i * ENTRY_LENGTH;
      const end = offset + ((this.#table[entry] as number) | ((this.#table[entry + 1] as number) << 8));
      if (i >= done) this.#sendLater(this.#bytes.slice(offset, end), this.#destinations[i] as PeerAddress);
      offset = end;
    }
    this.discard();
  }

  /** Forgets what waits: the socket is gone, and its descriptor may be another's by the end of the turn. */
  discard(): void {
    this.#destinations.length = 0;
    this.#filled = 0;
  }

  readonly #onTurnEnd = (): void => {
    this.#planned = false;
    this.flush();
  };

  /** A socket that is none any more is for Node to report, at the next send in its way. */
  #sent(count: number): number {
    try {
      return this.#sender.sendDatagrams(this.#fd, this.#ipv6, this.#bytes, this.#table, count);
    } catch {
      return 0;
    }
  }
}

/**
 * The descriptor of a bound socket: behind Node's documented interface, in the place where it has been since Node 10. Undefined where it is
 * not (Windows has none): then each datagram goes Node's own way.
 */
export function descriptorOf(socket: Socket): number | undefined {
  const place = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "state symbol");
  if (place === undefined) return undefined;
  const { handle } =
    (socket as unknown as Record<symbol, { handle?: { fd?: unknown } | null } | undefined>)[place] ?? {};
  return typeof handle?.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

/** Addresses in their 16 bytes, by their text: few peers send many datagrams. */
class AddressBytes {
  readonly #known: Map<string, Uint8Array | undefined> = new Map();

  of(host: string): Uint8Array | undefined {
    const known = this.#known.get(host);
    if (known !== undefined || this.#known.has(host)) return known;
    if (this.#known.size === MOST_KNOWN) this.#known.clear();
    const bytes = addressBytes(host);
    this.#known.set(host, bytes);
    return bytes;
  }
}

const MOST_KNOWN = 4_096;

/** An IP address in its IPv6 form, IPv4 mapped (RFC 4291 sections 2.2 and 2.5.5); undefined for one with a zone, and for no address. */
export function addressBytes(host: string): Uint8Array | undefined {
  const text = host.includes(":") ? host : MAPPED_PREFIX + host;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const [, start, ...octets] = dotted ?? [];
  const hex = dotted === null ? text : `${start}${words(octets).join(":")}`;
  const [head = "", tail, ...more] = hex.split("::");
  const [before, after] = [
    head === "" ? [] : head.split(":"),
    tail === undefined || tail === "" ? [] : tail.split(":"),
  ];
  const missing = 8 - before.length - after.length;
  if (more.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined;
  const groups = [...before, ...new Array<string>(missing).fill("0"), ...after];
  const bytes = new Uint8Array(ADDRESS_LENGTH);
  for (const [index, group] of groups.entries()) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
    const value = Number.parseInt(group, 16);
    bytes[2 * index] = value >>> 8;
    bytes[2 * index + 1] = value;
  }
  return bytes;
}

/** Four octets in decimal as two groups; one that is too large makes a group too long to be one. */
function words(octets: readonly string[]): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = octets.map((octet) => (Number(octet) > 255 ? Number.NaN : Number(octet)));
  return [a * 256 + b, c * 256 + d].map((word) => (Number.isNaN(word) ? "none" : word.toString(16)));
}
