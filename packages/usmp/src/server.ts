import { nodeCrypto } from "@usmp/crypto";
import { DEFAULT_REKEYING, parseRekeying, parseTiming, type ServerConfig, UsageError } from "@usmp/protocol";
import { AddressError, checkHostAndPort, parseListenAddress } from "@usmp/transport";
import type { ListenAddress, ListenOptions, Move, Peer, Refusal, Server, ServerStatistics, Session } from "./api.ts";
import { systemClock } from "./clock.ts";
import { formatDeviceId, parseDeviceId } from "./device-id.ts";
import { ListenError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import { KeyRing } from "./key-ring.ts";
import type { Reception } from "./server-attempt.ts";
import type { LiveSession } from "./session.ts";
import { countLimit, receiveLimit } from "./settings.ts";
import { type AcceptorOptions, TcpAcceptor } from "./tcp-acceptor.ts";
import { UdpAcceptor } from "./udp-acceptor.ts";
import { deferred } from "./waiting.ts";

const DEFAULT_MAX_SESSIONS = 20_000;
const DEFAULT_MAX_HANDSHAKES = 1_024;

/**
 * Listens for USMP devices. Rejects with UsageError for options that cannot be, with ListenError when an address cannot be opened;
 * then none is.
 */
export async function listen(options: ListenOptions): Promise<Server> {
  if (options.tcp === undefined && options.udp === undefined) {
    throw new UsageError("invalid-option", "tcp and udp are both missing; give at least one, such as tcp: 9000");
  }
  const server = new LiveServer(options);
  try {
    await server.open(options);
  } catch (error) {
    await server.close();
    if (error instanceof UsageError || error instanceof AddressError) throw error;
    throw new ListenError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  return server;
}

/** A listening server: see Server in api.ts. */
class LiveServer implements Server, Reception {
  readonly keys: KeyRing;
  readonly receiveBufferBytes: number;
  readonly sessions: Set<Session> = new Set();
  readonly closed: Promise<void>;
  readonly #maxSessions: number;
  readonly #acceptorOptions: AcceptorOptions & { readonly maxSessions: number };
  readonly #onSession: ((session: Session) => void) | undefined;
  readonly #onMoved: ListenOptions["onMoved"];
  readonly #onRefused: ((refusal: Refusal) => void) | undefined;
  /** Sessions for whoever iterates; unused when there is a callback. */
  readonly #announced: Inbox<Session> = new Inbox();
  readonly #byDevice: Map<string, LiveSession> = new Map();
  readonly #refused: Map<string, number> = new Map();
  readonly #dropped: Map<string, number> = new Map();
  readonly #resolveClosed: () => void;
  #tcp: TcpAcceptor | undefined;
  #udp: UdpAcceptor | undefined;
  #established = 0;
  #closing: Promise<void> | undefined;

  constructor(options: ListenOptions) {
    const crypto = options.crypto ?? nodeCrypto;
    const timing = parseTiming(options);
    const own = new Set((options.ownDeviceIds ?? []).map((id) => formatDeviceId(parseDeviceId(id, "ownDeviceIds"))));
    this.#maxSessions = countLimit("maxSessions", options.maxSessions, DEFAULT_MAX_SESSIONS);
    this.receiveBufferBytes = receiveLimit(options.receiveBufferBytes);
    this.#onSession = options.onSession;
    this.#onMoved = options.onMoved;
    this.#onRefused = options.onRefused;
    this.#acceptorOptions = {
      config: {
        crypto,
        timing,
        rekeying: this.#rekeyingOf(options.rekey),
        isOwnDevice: (deviceId) => own.size > 0 && own.has(formatDeviceId(deviceId)),
      },
      clock: options.clock ?? systemClock,
      reception: this,
      maxSessions: this.#maxSessions,
      maxHandshakes: countLimit("maxHandshakes", options.maxHandshakes, DEFAULT_MAX_HANDSHAKES),
      onError: (error) => this.noteDropped(`listener: ${"code" in error ? String(error.code) : error.name}`),
    };
    // Last, because it may take a copy of a secret: nothing after it throws.
    this.keys = new KeyRing(options.psk, options.development ?? false);
    const closed = deferred<void>();
    this.closed = closed.promise;
    this.#resolveClosed = closed.resolve;
  }

  async open({ tcp, udp }: ListenOptions): Promise<void> {
    const tcpAddress = tcp === undefined ? undefined : listenAddress(tcp, "tcp");
    const udpAddress = udp === undefined ? undefined : listenAddress(udp, "udp");
    if (tcpAddress) this.#tcp = await TcpAcceptor.open(this.#acceptorOptions, tcpAddress.host, tcpAddress.port);
    if (udpAddress) this.#udp = await UdpAcceptor.open(this.#acceptorOptions, udpAddress.host, udpAddress.port);
  }

  get addresses(): readonly Peer[] {
    return [this.#tcp, this.#udp].flatMap((acceptor) => (acceptor === undefined ? [] : [acceptor.address]));
  }

  get statistics(): ServerStatistics {
    return {
      sessionsEstablished: this.#established,
      sessionsOpen: this.sessions.size,
      handshakesOpen: (this.#tcp?.handshakeCount ?? 0) + (this.#udp?.handshakeCount ?? 0),
      refused: Object.fromEntries(this.#refused),
      dropped: Object.fromEntries([...this.#dropped, ...(this.#udp?.drops ?? [])]),
    };
  }

  get full(): boolean {
    return this.sessions.size >= this.#maxSessions;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Sessions that nobody has taken yet come first; leaving the loop early leaves the server open. */
  [Symbol.asyncIterator](): AsyncIterator<Session, undefined> {
    return {
      next: async () => {
        let session = this.#announced.poll();
        while (session?.open === false) session = this.#announced.poll();
        session ??= await this.#announced.wait(undefined);
        return session === undefined ? { done: true, value: undefined } : { done: false, value: session };
      },
    };
  }

  admit(session: LiveSession): void {
    this.#established++;
    this.sessions.add(session);
    if (this.#onSession === undefined) this.#announced.push(session);
    else this.#onSession(session);
  }

  refuse(refusal: Refusal): void {
    const { reason } = refusal;
    count(this.#refused, reason.code === "authentication-failed" ? reason.cause : reason.code);
    this.#onRefused?.(refusal);
  }

  noteDropped(cause: string): void {
    count(this.#dropped, cause);
  }

  onMoment(moment: "proven" | "closed", session: LiveSession): void {
    const known = this.#byDevice.get(session.deviceId);
    if (moment === "closed") {
      this.sessions.delete(session);
      if (known === session) this.#byDevice.delete(session.deviceId);
      return;
    }
    // Only proof replaces: a relayed HELLO gets as far as SESSION_OK without any key (spec section 3).
    this.#byDevice.set(session.deviceId, session);
    known?.end({ code: "replaced" });
  }

  onMoved(session: LiveSession, move: Move): void {
    this.#onMoved?.(session, move);
  }

  /** Settings for all are checked now; what a function answers, when a device's session begins, and the defaults stand in for what cannot be. */
  #rekeyingOf(given: ListenOptions["rekey"]): ServerConfig["rekeying"] {
    if (typeof given !== "function") return parseRekeying(given);
    return (deviceId) => {
      try {
        return parseRekeying(given(formatDeviceId(deviceId)));
      } catch {
        this.noteDropped("rekey-settings");
        return DEFAULT_REKEYING;
      }
    };
  }

  async #close(): Promise<void> {
    this.#tcp?.stopAccepting();
    this.#udp?.stopAccepting();
    await Promise.all([...this.sessions].map((session) => session.close()));
    await Promise.all([this.#tcp?.drained(), this.#udp?.drained()]);
    this.keys.wipe();
    this.#announced.end();
    this.#resolveClosed();
  }
}

function listenAddress(given: ListenAddress, field: string): { host: string | undefined; port: number } {
  if (typeof given === "string") return parseListenAddress(given, field);
  const { host, port } = typeof given === "number" ? { host: undefined, port: given } : given;
  checkHostAndPort(host, port, `${field}.`, 0);
  return { host, port };
}

function count(counts: Map<string, number>, cause: string): void {
  counts.set(cause, (counts.get(cause) ?? 0) + 1);
}
