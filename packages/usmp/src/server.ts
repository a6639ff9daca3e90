import { defaultCrypto } from "@usmp/crypto";
import {
  DEFAULT_REKEYING,
  Gate,
  parseLimits,
  parseRekeying,
  parseTiming,
  type ServerConfig,
  sourceOf,
  TokenBucket,
  UsageError,
} from "@usmp/protocol";
import { AddressError, checkHostAndPort, parseListenAddress } from "@usmp/transport";
import { iterateOpen } from "./announced.ts";
import type { ListenAddress, ListenOptions, Move, Peer, Refusal, Server, ServerStatistics, Session } from "./api.ts";
import { systemClock } from "./clock.ts";
import { formatDeviceId, parseDeviceId } from "./device-id.ts";
import { DeviceSessions } from "./device-sessions.ts";
import { ListenError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import { KeyRing } from "./key-ring.ts";
import type { Reception } from "./server-attempt.ts";
import type { LiveSession } from "./session.ts";
import { acknowledgeOf, receiveLimit } from "./settings.ts";
import { type AcceptorOptions, type AcceptorSocket, TcpAcceptor } from "./tcp-acceptor.ts";
import { Turnstile } from "./turnstile.ts";
import { UdpAcceptor } from "./udp-acceptor.ts";
import { deferred } from "./waiting.ts";
import type { Shard } from "./workers/shard.ts";

/** Ended sessions that may wait for an application that iterates, beside as many as are open. */
const ENDED_UNTAKEN = 1_024;

/** What is different in a server that is one of several processes behind one port. */
export interface ServerPart {
  /** What counts for all of them: true when there is room for one more session. */
  hasRoom(deviceId: string, open: number): boolean;
  readonly shard: Shard | undefined;
  readonly tcpSocket: Partial<AcceptorSocket>;
  readonly udpSocket: Partial<AcceptorSocket>;
}

/** A server whose sessions live in this process. Rejects as listen() does. */
export async function openServer(options: ListenOptions, part?: ServerPart): Promise<LiveServer> {
  const server = new LiveServer(options, part);
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
export class LiveServer implements Server, Reception {
  readonly keys: KeyRing;
  readonly receiveBufferBytes: number;
  readonly awaitsAcceptance: boolean;
  readonly sessions: Set<Session> = new Set();
  readonly closed: Promise<void>;
  readonly #part: ServerPart | undefined;
  readonly #acceptorOptions: AcceptorOptions;
  readonly #gate: Gate;
  readonly #onSession: ((session: Session) => void) | undefined;
  readonly #onMoved: ListenOptions["onMoved"];
  readonly #onRefused: ((refusal: Refusal) => void) | undefined;
  /** Sessions for whoever iterates; unused when there is a callback. */
  readonly #announced: Inbox<Session> = new Inbox();
  readonly #devices: DeviceSessions<LiveSession>;
  /** What onRefused may be told: a flood must not drown the application. */
  readonly #reports: TokenBucket;
  #unreported = 0;
  readonly #refused: Map<string, number> = new Map();
  readonly #dropped: Map<string, number> = new Map();
  readonly #resolveClosed: () => void;
  #tcp: TcpAcceptor | undefined;
  #udp: UdpAcceptor | undefined;
  #established = 0;
  #closing: Promise<void> | undefined;

  constructor(options: ListenOptions, part?: ServerPart) {
    this.#part = part;
    const crypto = options.crypto ?? defaultCrypto();
    const timing = parseTiming(options);
    const own = new Set((options.ownDeviceIds ?? []).map((id) => formatDeviceId(parseDeviceId(id, "ownDeviceIds"))));
    const limits = parseLimits(options.limits);
    const clock = options.clock ?? systemClock;
    this.#gate = new Gate(limits, clock.now());
    this.#devices = new DeviceSessions(limits.unprovenSessionsPerDevice);
    const reports = limits.reportedRefusalsPerSecond;
    this.#reports = new TokenBucket({ perSecond: reports, burst: reports }, clock.now());
    this.receiveBufferBytes = receiveLimit(options.receiveBufferBytes);
    this.awaitsAcceptance = options.acknowledge === "accepted";
    this.#onSession = options.onSession;
    this.#onMoved = options.onMoved;
    this.#onRefused = options.onRefused;
    this.#acceptorOptions = {
      config: {
        crypto,
        timing,
        rekeying: this.#rekeyingOf(options.rekey),
        acknowledge: acknowledgeOf(options.acknowledge),
        isOwnDevice: (deviceId) => own.size > 0 && own.has(formatDeviceId(deviceId)),
        hasRoom: (deviceId) => this.#hasRoom(deviceId),
      },
      clock,
      gate: this.#gate,
      reception: this,
      turnstile: new Turnstile(clock),
      shard: part?.shard,
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
    const part = this.#part;
    if (tcpAddress) this.#tcp = await TcpAcceptor.open(this.#acceptorOptions, { ...tcpAddress, ...part?.tcpSocket });
    if (udpAddress) this.#udp = await UdpAcceptor.open(this.#acceptorOptions, { ...udpAddress, ...part?.udpSocket });
  }

  get addresses(): readonly Peer[] {
    return [this.#tcp, this.#udp].flatMap((acceptor) => (acceptor === undefined ? [] : [acceptor.address]));
  }

  get statistics(): ServerStatistics {
    return {
      sessionsEstablished: this.#established,
      sessionsOpen: this.sessions.size,
      handshakesOpen: (this.#tcp?.handshakeCount ?? 0) + (this.#udp?.handshakeCount ?? 0),
      provenPairs: this.#gate.provenPairs,
      refusalsUnreported: this.#unreported,
      refused: Object.fromEntries(this.#refused),
      dropped: Object.fromEntries([...this.#dropped, ...(this.#udp?.drops ?? [])]),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<Session, undefined> {
    return iterateOpen(this.#announced);
  }

  admit(session: LiveSession): void {
    this.#established++;
    this.sessions.add(session);
    this.#noteProven(session);
    this.#devices.add(session)?.end({ code: "replaced" });
    if (this.#onSession === undefined) this.#announced.push(session);
    else this.#onSession(session);
  }

  refuse(refusal: Refusal): void {
    count(this.#refused, causeOf(refusal.reason));
    if (this.#onRefused === undefined) return;
    if (this.#reports.take(this.#acceptorOptions.clock.now())) this.#onRefused(refusal);
    else this.#unreported++;
  }

  noteDropped(cause: string): void {
    count(this.#dropped, cause);
  }

  onMoment(moment: "proven" | "closed", session: LiveSession): void {
    if (moment === "closed") {
      this.sessions.delete(session);
      // Where it was last: that is where the device will come from next.
      if (this.#devices.isProven(session)) this.#noteProven(session);
      this.#devices.remove(session);
      // Of sessions that nobody takes those that have ended are not kept for ever, and looking for them costs little at a time.
      if (this.#announced.length > 2 * this.sessions.size + ENDED_UNTAKEN) this.#announced.keepOnly(({ open }) => open);
    } else for (const replaced of this.#devices.prove(session)) replaced.end({ code: "replaced" });
  }

  /** A device that has a session may replace it, full or not: the old one may be all that is left of a connection that broke. */
  #hasRoom(deviceId: Uint8Array): boolean {
    const device = formatDeviceId(deviceId);
    const open = this.sessions.size;
    const room = this.#part === undefined ? open < this.#gate.limits.sessions : this.#part.hasRoom(device, open);
    return room || this.#devices.count(device) === 1;
  }

  /** Its HELLO_ACK was made with the device's key, and came from there. */
  #noteProven(session: LiveSession): void {
    this.noteProvenPair(session.deviceId, session.peer.host);
  }

  /** The device proved its key from there, here or in another process of this server. */
  noteProvenPair(deviceId: string, host: string): void {
    this.#gate.noteProven(parseDeviceId(deviceId), sourceOf(host), this.#acceptorOptions.clock.now());
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

/** Where to listen, taken apart. Throws AddressError. */
export function listenAddress(given: ListenAddress, field: string): { host: string | undefined; port: number } {
  if (typeof given === "string") return parseListenAddress(given, field);
  const { host, port } = typeof given === "number" ? { host: undefined, port: given } : given;
  checkHostAndPort(host, port, `${field}.`, 0);
  return { host, port };
}

/** The label that a refusal is counted under. */
function causeOf(reason: Refusal["reason"]): string {
  if (reason.code === "authentication-failed") return reason.cause;
  return reason.code === "handshake-timeout" && reason.awaiting === "keys" ? "lookup-timeout" : reason.code;
}

function count(counts: Map<string, number>, cause: string): void {
  counts.set(cause, (counts.get(cause) ?? 0) + 1);
}
