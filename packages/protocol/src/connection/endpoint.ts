import { constantTimeEqual } from "../crypto/equal.ts";
import type { Secret } from "../crypto/secret.ts";
import type { Violation } from "../errors.ts";
import type { Gate } from "../fairness/gate.ts";
import { sourceOf } from "../fairness/source.ts";
import { WaitingRoom } from "../fairness/waiting-room.ts";
import { CookieJar } from "../handshake/cookie.ts";
import { randomSessionId } from "../handshake/server.ts";
import { frameRoute, sessionRoute } from "../record/protection.ts";
import { addMs, earliest, type Instant } from "../time.ts";
import { copyBytes } from "../wire/bytes.ts";
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameType,
  isSessionType,
  payloadOf,
  violationOffset,
} from "../wire/frame.ts";
import { type Hello, parseHello } from "../wire/message.ts";
import { decodeUtack, looksLikeUtack, type Utack } from "../wire/utack.ts";
import type { ServerConfig } from "./config.ts";
import { Counters, type DropCause } from "./counters.ts";
import type { Datagram } from "./datagram-channel.ts";
import { type DatagramHost, DatagramServer, type Farewell } from "./datagram-server.ts";
import type { Address, Breach } from "./events.ts";
import { RetryRing } from "./retry-ring.ts";

/** How long a peer's repeated BYE is still acknowledged, and for how many ended sessions. */
const FAREWELL_MS = 10_000;
const MAX_FAREWELLS = 1_024;
/** Of a datagram that is no frame: enough to see another version or another protocol. */
const HEAD_LENGTH = 4;

export interface EndpointConfig extends ServerConfig {
  /** What peers that have proved nothing may cost; one for all of a server's transports. */
  readonly gate: Gate;
  /** Hears of HELLOs whose cookie was good, and which were not let in; nothing was spent on them. */
  readonly onTurnedAway?: ((deviceId: Uint8Array, from: Address) => void) | undefined;
  /** Hears of datagrams that are no frames, from addresses where nothing else is; anybody can send those, under any address. */
  readonly onMalformed?: ((violation: Violation, breach: Breach, from: Address) => void) | undefined;
  /**
   * Of several endpoints behind one port: whether a session with this id may live in this one, so that any of them can tell from a
   * frame's clear nonce whose it is. Default: all ids.
   */
  readonly ownsSessionId?: ((sessionId: Uint8Array) => boolean) | undefined;
  /**
   * Hears of well-formed datagrams that no connection here waits for: session frames by their id, the rest by their address. True:
   * another endpoint has it, and it is not counted as dropped.
   */
  readonly onUnrouted?: ((by: "session-id" | "address", datagram: Uint8Array, from: Address) => boolean) | undefined;
  /** Passed on to every connection; see DatagramOptions. */
  readonly firstSeq?: number | undefined;
}

/** Handshakes under way from one address; more than one only when HELLOs are replayed or a client starts again. */
const MAX_HANDSHAKES_PER_ADDRESS = 4;

/**
 * A server's one datagram socket without its socket: answers HELLOs statelessly until a cookie comes back, and routes the rest to
 * connections: session frames by the session id in their clear nonce, so that a peer may move; handshake frames and UTACKs
 * by address. A HELLO never takes datagrams away from the live session of its address.
 */
export class DatagramEndpoint {
  /** Datagrams that reached no connection, by cause; bytes and frames of the stateless answers. */
  readonly counters: Counters = new Counters();
  readonly #config: EndpointConfig;
  readonly #cookies: CookieJar;
  readonly #retries: RetryRing = new RetryRing();
  readonly #outbox: Datagram[] = [];
  /** Handshakes and sessions, in the order of their beginning. */
  readonly #byAddress: Map<string, Set<DatagramServer>> = new Map();
  readonly #byRoute: Map<number, DatagramServer> = new Map();
  readonly #handshakes: WaitingRoom<DatagramServer>;
  readonly #farewells: Map<number, Farewell & { readonly until: Instant }> = new Map();
  #now: Instant;

  constructor(config: EndpointConfig, now: Instant) {
    this.#config = config;
    this.#handshakes = new WaitingRoom(config.gate.limits);
    this.#cookies = new CookieJar(config.crypto, now);
    this.#now = now;
  }

  get sessionCount(): number {
    return this.#byRoute.size;
  }

  get handshakeCount(): number {
    return this.#handshakes.size;
  }

  /** Takes one datagram; answers the connections that it touched, new ones included, for the driver to drain. */
  handleDatagram(datagram: Uint8Array, from: Address, now: Instant): readonly DatagramServer[] {
    this.#now = now;
    this.counters.bytesReceived += datagram.length;
    if (looksLikeUtack(datagram)) return this.#onUtack(decodeUtack(datagram), datagram, from, now);
    const frame = decodeFrame(datagram);
    if (typeof frame === "string") return this.#dropMalformed(frame, datagram, from);
    this.counters.framesReceived++;
    if (frame.type === FrameType.HELLO) return this.#onHello(frame, from, now);
    if (isSessionType(frame.type)) return this.#onSessionFrame(frame, from, now);
    if (frame.type === FrameType.HELLO_ACK) return this.#onHelloAck(frame, from, now);
    return this.#drop(frame.type === FrameType.ERROR ? "error-frame" : "unexpected-type");
  }

  /** The next stateless answer. Connections are polled apart. */
  pollTransmit(): Datagram | undefined {
    return this.#outbox.shift();
  }

  pollTimeout(): Instant | undefined {
    const stateless = earliest(this.#retries.timeout, this.#farewells.values().next().value?.until);
    return earliest(stateless, this.#handshakes.timeout);
  }

  /** Answers the connections that it ended, for the driver to drain: handshakes whose time is over because places are scarce. */
  handleTimeout(now: Instant): readonly DatagramServer[] {
    this.#now = now;
    for (const retry of this.#retries.takeDue(now)) this.#transmit(retry);
    for (const [route, { until }] of this.#farewells) {
      if (until > now) break;
      this.#farewells.delete(route);
    }
    const overdue = this.#handshakes.takeOverdue(now);
    for (const connection of overdue) connection.abort({ code: "evicted" });
    return overdue;
  }

  /** Forgets the cookie secrets. Connections are closed by their driver. */
  wipe(): void {
    this.#cookies.wipe();
  }

  /** The secrets that cookies are made with from now on, shared with other endpoints behind the same port; see CookieJar.share(). */
  shareCookieSecrets(current: Secret, previous: Secret, now: Instant): void {
    this.#cookies.share(current, previous, now);
  }

  #onHello(frame: Frame, from: Address, now: Instant): readonly DatagramServer[] {
    const hello = parseHello(payloadOf(frame));
    if (hello === undefined) return this.#drop("bad-length");
    const { cookie } = hello;
    if (cookie === undefined) return this.#answerBareHello(frame, hello, from, now);
    if (!this.#cookies.verify(from.key, { ...hello, cookie }, now)) return this.#drop("bad-cookie");
    this.#retries.cancel(from.key);
    const known = this.#at(from).find((connection) => constantTimeEqual(connection.clientPublicKey, hello.publicKey));
    if (known !== undefined) {
      known.handleHello(frame, from, now);
      return [known];
    }
    const source = sourceAt(from);
    if (this.#config.gate.admit(hello.deviceId, source, now)) return this.#begin(frame, hello, from, source, now);
    this.#config.onTurnedAway?.(hello.deviceId, from);
    return this.#drop("rate-limited");
  }

  #answerBareHello(frame: Frame, hello: Hello, from: Address, now: Instant): readonly DatagramServer[] {
    // Without its UTACK the client sends its HELLO again.
    if (!this.#config.gate.takeCookie(sourceAt(from), now)) return this.#drop("cookie-limited");
    const retry = encodeFrame(FrameType.HELLO_RETRY, 0, this.#cookies.issue(from.key, hello, now));
    const { type, seq, bytes } = frame;
    for (const answer of this.#retries.answer({ type, seq, length: bytes.length }, retry, from, now)) {
      this.#transmit(answer);
    }
    return NONE;
  }

  #begin(frame: Frame, hello: Hello, from: Address, source: string, now: Instant): readonly DatagramServer[] {
    const here = this.#at(from).filter(({ state }) => state === "handshaking");
    const crowded = here.length >= MAX_HANDSHAKES_PER_ADDRESS ? here[0] : undefined;
    crowded?.abort({ code: "evicted" });
    const options = { peer: from, firstSeq: this.#config.firstSeq };
    const connection = new DatagramServer(this.#config, options, this.#host, hello, now);
    const displaced = this.#handshakes.enter(connection, source, now);
    displaced?.abort({ code: "evicted" });
    this.#handshakes.identify(connection, this.#config.gate.provenPair(hello.deviceId, source, now), now);
    this.#join(connection, from);
    connection.handleHello(frame, from, now);
    return [crowded, displaced, connection].filter((touched) => touched !== undefined);
  }

  #onHelloAck(frame: Frame, from: Address, now: Instant): readonly DatagramServer[] {
    const here = this.#at(from);
    const known = here.find((connection) => connection.knowsProof(frame));
    if (known !== undefined) {
      known.handleFrame(frame, from, now);
      return [known];
    }
    const touched: DatagramServer[] = [];
    for (const connection of here.filter(({ state }) => state === "handshaking").reverse()) {
      connection.handleFrame(frame, from, now);
      touched.push(connection);
      if (connection.state === "established") return touched;
    }
    return touched.length > 0 ? touched : this.#unrouted("address", "no-session", frame.bytes, from);
  }

  #onSessionFrame(frame: Frame, from: Address, now: Instant): readonly DatagramServer[] {
    const route = frameRoute(frame);
    if (route === undefined) return this.#drop("bad-length");
    const connection = this.#byRoute.get(route);
    if (connection !== undefined) {
      connection.handleFrame(frame, from, now);
      return [connection];
    }
    const farewell = this.#farewells.get(route);
    if (farewell === undefined || !constantTimeEqual(farewell.bye, frame.bytes)) {
      return this.#unrouted("session-id", "no-session", frame.bytes, from);
    }
    for (const utack of farewell.utacks) this.#transmit({ data: utack, to: from });
    return NONE;
  }

  #onUtack(utack: Utack | undefined, datagram: Uint8Array, from: Address, now: Instant): readonly DatagramServer[] {
    if (utack === undefined) return this.#drop("unmatched-utack");
    if (utack.type === FrameType.HELLO_RETRY) {
      for (const answer of this.#retries.informed(from, utack.message.length)) this.#transmit(answer);
      return NONE;
    }
    const matched = this.#at(from).find((connection) => connection.handleUtack(utack, now));
    return matched === undefined ? this.#unrouted("address", "unmatched-utack", datagram, from) : [matched];
  }

  readonly #host: DatagramHost = {
    takeWrongProof: (now) => this.#config.gate.takeWrongProof(now),
    newSessionId: (deviceId) => {
      if (this.#config.hasRoom?.(deviceId) === false) return undefined;
      for (;;) {
        const sessionId = randomSessionId(this.#config.crypto);
        if (this.#config.ownsSessionId?.(sessionId) === false) continue;
        const route = sessionRoute(sessionId);
        if (!this.#byRoute.has(route) && !this.#farewells.has(route)) return sessionId;
      }
    },
    onEstablished: (connection, route) => {
      this.#handshakes.leave(connection);
      this.#byRoute.set(route, connection);
    },
    onMoved: (connection, from) => {
      this.#leave(connection, from);
      this.#join(connection, connection.address);
    },
    onClosed: (connection, route, farewell) => {
      this.#handshakes.leave(connection);
      this.#leave(connection, connection.address);
      if (route === undefined) return;
      this.#byRoute.delete(route);
      if (farewell !== undefined && this.#farewells.size < MAX_FAREWELLS) {
        this.#farewells.set(route, { ...farewell, until: addMs(this.#now, FAREWELL_MS) });
      }
    },
  };

  #at(address: Address): readonly DatagramServer[] {
    const here = this.#byAddress.get(address.key);
    return here === undefined ? NONE : [...here];
  }

  #join(connection: DatagramServer, address: Address): void {
    const here = this.#byAddress.get(address.key);
    if (here === undefined) this.#byAddress.set(address.key, new Set([connection]));
    else here.add(connection);
  }

  #leave(connection: DatagramServer, address: Address): void {
    const here = this.#byAddress.get(address.key);
    here?.delete(connection);
    if (here?.size === 0) this.#byAddress.delete(address.key);
  }

  #transmit(datagram: Datagram): void {
    this.counters.framesSent++;
    this.counters.bytesSent += datagram.data.length;
    this.#outbox.push(datagram);
  }

  #dropMalformed(violation: Violation, datagram: Uint8Array, from: Address): readonly DatagramServer[] {
    if (!this.#byAddress.has(from.key)) {
      const head = copyBytes(datagram, 0, Math.min(datagram.length, HEAD_LENGTH));
      this.#config.onMalformed?.(violation, { offset: violationOffset(violation), head }, from);
    }
    return this.#drop(violation);
  }

  #unrouted(
    by: "session-id" | "address",
    cause: DropCause,
    datagram: Uint8Array,
    from: Address,
  ): readonly DatagramServer[] {
    return this.#config.onUnrouted?.(by, datagram, from) === true ? NONE : this.#drop(cause);
  }

  #drop(cause: DropCause): readonly DatagramServer[] {
    this.counters.drop(cause);
    return NONE;
  }
}

const NONE: readonly DatagramServer[] = [];

function sourceAt({ key, host }: Address): string {
  return host === undefined ? key : sourceOf(host);
}
