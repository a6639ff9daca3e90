import { nodeCrypto } from "@usmp/crypto";
import {
  addMs,
  type ConnectionEvent,
  constants,
  DatagramClient,
  FrameSlab,
  type Instant,
  parseRekeying,
  parseTiming,
  type Rekeying,
  type Secret,
  StreamClient,
  type Timing,
  UsageError,
} from "@usmp/protocol";
import { checkHostAndPort, connectTcp, connectUdp, formatAddress } from "@usmp/transport";
import type { ConnectOptions, Session } from "./api.ts";
import { type Clock, systemClock } from "./clock.ts";
import { DatagramDriver, datagramAddress } from "./datagram-driver.ts";
import { parseDeviceId } from "./device-id.ts";
import type { ConnectionOwner } from "./driver.ts";
import { ConnectError, connectErrorOf } from "./errors.ts";
import { usableKey } from "./key-policy.ts";
import { DatagramLink, StreamLink } from "./links.ts";
import { LiveSession, type SessionLink } from "./session.ts";
import { receiveLimit } from "./settings.ts";
import { StreamDriver } from "./stream-driver.ts";

/** One block of output memory serves all of this process's client connections. */
const slab = new FrameSlab();

/**
 * Connects to a USMP server and shakes hands. Rejects with ConnectError (see docs/errors.md for its codes), UsageError for options
 * that cannot be, or the signal's reason.
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  const { signal, transport = "tcp" } = options;
  signal?.throwIfAborted();
  if (transport !== "tcp" && transport !== "udp") {
    throw new UsageError("invalid-option", `transport ${JSON.stringify(transport)} is unknown; it is "tcp" or "udp"`);
  }
  checkHostAndPort(options.host, options.port, "", 1);
  const crypto = options.crypto ?? nodeCrypto;
  const timing = parseTiming(options);
  const rekeying = parseRekeying(options.rekey);
  const receiveBufferBytes = receiveLimit(options.receiveBufferBytes);
  const deviceId = options.deviceId === undefined ? randomDeviceId(crypto) : parseDeviceId(options.deviceId);
  const key = usableKey(options.psk, options.development ?? false);
  const attempt = new Attempt(formatAddress(options), receiveBufferBytes);
  const deadline = addMs((options.clock ?? systemClock).now(), timing.handshakeTimeoutMs);
  try {
    const config = { crypto, timing, rekeying, psk: key.secret, deviceId, deadline };
    return await (transport === "tcp" ? overTcp(options, config, attempt) : overUdp(options, config, attempt));
  } finally {
    if (key.owned) key.secret.wipe();
  }
}

interface Config {
  readonly crypto: NonNullable<ConnectOptions["crypto"]>;
  readonly timing: Timing;
  readonly rekeying: Rekeying;
  readonly psk: Secret;
  readonly deviceId: Uint8Array;
  /** Of looking up, connecting and shaking hands together. */
  readonly deadline: Instant;
}

async function overTcp(options: ConnectOptions, config: Config, attempt: Attempt): Promise<Session> {
  const { host, port, signal } = options;
  const clock = options.clock ?? systemClock;
  const transport = await reach((giveUp) => connectTcp({ host, port, signal: giveUp }), options, config);
  if (signal?.aborted) {
    transport.destroy();
    throw signal.reason;
  }
  const connection = new StreamClient(withTimeLeft(config, clock), { slab }, clock.now());
  const driver = new StreamDriver(connection, transport, clock);
  const established = attempt.begin(driver, new StreamLink(driver, transport.peer), signal);
  driver.start();
  return established;
}

async function overUdp(options: ConnectOptions, config: Config, attempt: Attempt): Promise<Session> {
  const { host, port, signal } = options;
  const clock = options.clock ?? systemClock;
  const transport = await reach((giveUp) => connectUdp({ host, port, signal: giveUp }), options, config);
  if (signal?.aborted) {
    transport.close();
    throw signal.reason;
  }
  const peer = datagramAddress(transport.peer);
  const connection = new DatagramClient(withTimeLeft(config, clock), { peer }, clock.now());
  const driver = new DatagramDriver(connection, transport, clock, () => transport.close());
  const established = attempt.begin(driver, new DatagramLink(driver), signal);
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
 * Opens a transport, until the deadline or the application's signal: the system's own patience is two minutes for TCP, and as
 * long as the name service takes for a name. Says what went wrong below USMP in the same words as what goes wrong in it.
 */
async function reach<T>(
  open: (giveUp: AbortSignal) => Promise<T>,
  { clock = systemClock, signal, ...where }: ConnectOptions,
  { deadline, timing }: Config,
): Promise<T> {
  const attempt = new AbortController();
  const onAbort = (): void => attempt.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const cancelAlarm = clock.schedule(deadline, () => {
    const problem = `no answer within ${timing.handshakeTimeoutMs / 1000} s; check host and port`;
    attempt.abort(new ConnectError("unreachable", `${formatAddress(where)}: ${problem}`));
  });
  try {
    return await open(attempt.signal);
  } catch (error) {
    if (attempt.signal.aborted) throw attempt.signal.reason;
    const message = error instanceof Error ? error.message : String(error);
    throw new ConnectError("unreachable", message, undefined, { cause: error });
  } finally {
    cancelAlarm();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** What connecting took is taken off the handshake's time: connect() has one deadline for all of it. */
function withTimeLeft({ deadline, ...config }: Config, clock: Clock): Omit<Config, "deadline"> {
  const handshakeTimeoutMs = Math.max(1, deadline - clock.now());
  return { ...config, timing: { ...config.timing, handshakeTimeoutMs } };
}

/** Owns a connection until it is established or has failed. */
class Attempt implements ConnectionOwner {
  readonly #where: string;
  readonly #receiveBufferBytes: number;
  #settle: ((outcome: ConnectionEvent & { readonly type: "established" | "closed" }) => void) | undefined;

  constructor(where: string, receiveBufferBytes: number) {
    this.#where = where;
    this.#receiveBufferBytes = receiveBufferBytes;
  }

  /** Resolves with the session that the driver's connection becomes. */
  begin(
    driver: { owner: ConnectionOwner | undefined },
    link: SessionLink,
    signal: AbortSignal | undefined,
  ): Promise<Session> {
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
          const session = new LiveSession(link, outcome, this.#receiveBufferBytes);
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

function randomDeviceId(crypto: { randomFill(out: Uint8Array): void }): Uint8Array {
  const deviceId = new Uint8Array(constants.DEVICE_ID_LENGTH);
  crypto.randomFill(deviceId);
  return deviceId;
}
