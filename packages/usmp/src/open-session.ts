import {
  addMs,
  type ConnectionEvent,
  type CryptoProvider,
  DatagramClient,
  FrameSlab,
  type Instant,
  type Rekeying,
  type Secret,
  StreamClient,
  type Timing,
} from "@usmp/protocol";
import {
  type ConnectedDatagramTransport,
  connectTcp,
  connectUdp,
  formatAddress,
  type PeerAddress,
  type StreamTransport,
} from "@usmp/transport";
import type { Peer } from "./api.ts";
import type { Clock } from "./clock.ts";
import { DatagramDriver, datagramAddress } from "./datagram-driver.ts";
import type { ConnectionOwner } from "./driver.ts";
import { ConnectError, connectErrorOf } from "./errors.ts";
import { DatagramLink, StreamLink } from "./links.ts";
import { LiveSession, type SessionLink } from "./session.ts";
import { StreamDriver } from "./stream-driver.ts";
import { Unread } from "./unread.ts";

/** One block of output memory serves all of this process's client connections. */
const slab = new FrameSlab();

/** Where to connect, as whom, and by which means: what every attempt needs. */
export interface Target {
  readonly peer: Peer;
  readonly psk: Secret;
  readonly deviceId: Uint8Array;
  readonly crypto: CryptoProvider;
  readonly timing: Timing;
  readonly rekeying: Rekeying;
  readonly clock: Clock;
  readonly dialer: Dialer;
}

/** What differs from one attempt to the next. */
export interface AttemptOptions {
  readonly receiveBufferBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** Reaches a host below USMP. */
export interface Dialer {
  stream(to: PeerAddress, signal: AbortSignal): Promise<StreamTransport>;
  datagram(to: PeerAddress, signal: AbortSignal): Promise<ConnectedDatagramTransport>;
}

export const networkDialer: Dialer = {
  stream: ({ host, port }, signal) => connectTcp({ host, port, signal }),
  datagram: ({ host, port }, signal) => connectUdp({ host, port, signal }),
};

/** One attempt: reaches the peer and shakes hands. Rejects with ConnectError, UsageError "secret-wiped", or the signal's reason. */
export async function openSession(target: Target, options: AttemptOptions): Promise<LiveSession> {
  // A key that its owner has wiped is told here, not in the middle of a handshake.
  target.psk.expose();
  const deadline = addMs(target.clock.now(), target.timing.handshakeTimeoutMs);
  return target.peer.transport === "tcp" ? overTcp(target, options, deadline) : overUdp(target, options, deadline);
}

async function overTcp(target: Target, options: AttemptOptions, deadline: Instant): Promise<LiveSession> {
  const { peer, clock, dialer } = target;
  const dial = (signal: AbortSignal): Promise<StreamTransport> => dialer.stream(peer, signal);
  const transport = await reach(target, deadline, options.signal, dial, (late) => late.destroy());
  const connection = new StreamClient(withTimeLeft(target, deadline), { slab }, clock.now());
  const driver = new StreamDriver(connection, transport, clock);
  const established = new Attempt(target, options).begin(driver, new StreamLink(driver, transport.peer));
  driver.start();
  return established;
}

async function overUdp(target: Target, options: AttemptOptions, deadline: Instant): Promise<LiveSession> {
  const { clock, dialer } = target;
  const dial = (signal: AbortSignal): Promise<ConnectedDatagramTransport> => dialer.datagram(target.peer, signal);
  const transport = await reach(target, deadline, options.signal, dial, (late) => late.close());
  const peer = datagramAddress(transport.peer);
  const connection = new DatagramClient(withTimeLeft(target, deadline), { peer }, clock.now());
  const driver = new DatagramDriver(connection, transport, clock, () => transport.close());
  const established = new Attempt(target, options).begin(driver, new DatagramLink(driver));
  transport.start({
    onDatagram: (data) => driver.run((_, now) => connection.handleDatagram(data, peer, now)),
    onClose: (error) => {
      const message = error?.message ?? "the socket was closed";
      driver.run(() => connection.abort({ code: "transport-failed", message }));
    },
  });
  driver.drain();
  return established;
}

/**
 * Dials, for as long as a handshake may take: the kernel would try TCP for two minutes, and a name service for half of one. Says what went
 * wrong below USMP in the same words as what goes wrong in it. What comes too late is given to `discard`.
 */
function reach<T>(
  { peer, timing, clock }: Target,
  deadline: Instant,
  signal: AbortSignal | undefined,
  dial: (signal: AbortSignal) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  const giveUp = new AbortController();
  return new Promise((resolve, reject) => {
    let over = false;
    const finish = (settle: () => void): void => {
      if (over) return;
      over = true;
      cancelDeadline();
      signal?.removeEventListener("abort", onAbort);
      settle();
      giveUp.abort();
    };
    const onAbort = (): void => finish(() => reject(signal?.reason));
    const cancelDeadline = clock.schedule(deadline, () =>
      finish(() => reject(unanswered(peer, timing.handshakeTimeoutMs))),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    dial(giveUp.signal).then(
      (transport) => {
        if (over) discard(transport);
        else finish(() => resolve(transport));
      },
      (error: unknown) => finish(() => reject(unreachable(error))),
    );
  });
}

/** What connecting took is taken off the handshake's time: connect() has one deadline for all of it. */
function withTimeLeft(target: Target, deadline: Instant): Target {
  const handshakeTimeoutMs = Math.max(1, deadline - target.clock.now());
  return { ...target, timing: { ...target.timing, handshakeTimeoutMs } };
}

function unreachable(cause: unknown): ConnectError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new ConnectError("unreachable", message, undefined, { cause });
}

function unanswered(peer: Peer, timeoutMs: number): ConnectError {
  const advice = "check host and port, this host's network, and that no firewall is in the way";
  return new ConnectError("unreachable", `${formatAddress(peer)}: no answer within ${timeoutMs / 1000} s; ${advice}`);
}

/** Owns a connection until it is established or has failed. */
class Attempt implements ConnectionOwner {
  readonly #where: string;
  readonly #options: AttemptOptions;
  #settle: ((outcome: ConnectionEvent & { readonly type: "established" | "closed" }) => void) | undefined;

  constructor({ peer }: Target, options: AttemptOptions) {
    this.#where = formatAddress(peer);
    this.#options = options;
  }

  /** Resolves with the session that the driver's connection becomes. */
  begin(driver: { owner: ConnectionOwner | undefined }, link: SessionLink): Promise<LiveSession> {
    const { signal, receiveBufferBytes } = this.#options;
    driver.owner = this;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#settle = undefined;
        link.abort();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#settle = (outcome) => {
        this.#settle = undefined;
        signal?.removeEventListener("abort", onAbort);
        if (outcome.type === "closed") reject(connectErrorOf(outcome.reason, this.#where));
        else {
          const session = new LiveSession(link, outcome, new Unread(receiveBufferBytes, false));
          driver.owner = session;
          resolve(session);
        }
      };
    });
  }

  onEvent(event: ConnectionEvent): void {
    if (event.type === "established" || event.type === "closed") this.#settle?.(event);
  }
}
