import {
  type Address,
  constants,
  copyBytes,
  DatagramEndpoint,
  type DatagramServer,
  type EndpointConfig,
  FrameType,
  TokenBucket,
} from "@usmp/protocol";
import { bindUdp, type DatagramTransport } from "@usmp/transport";
import { Alarm } from "./alarm.ts";
import type { Peer } from "./api.ts";
import { type DatagramAddress, DatagramDriver, datagramAddress, sendDatagram } from "./datagram-driver.ts";
import { formatDeviceId } from "./device-id.ts";
import { DatagramLink } from "./links.ts";
import { nativeSockets } from "./native-sockets.ts";
import { ServerAttempt } from "./server-attempt.ts";
import type { AcceptorOptions, AcceptorSocket } from "./tcp-acceptor.ts";

/** Datagrams a second that are reported as malformed; their addresses may be forged, so they must not crowd out what is not. */
const MALFORMED_REPORTS = 4;

/** Handshake datagrams that may wait for their turn; beyond that they are lost, as in a full socket, and come again. */
const MAX_WAITING = 4_096;

/** Serves UDP sessions on one socket. */
export class UdpAcceptor {
  readonly #options: AcceptorOptions;
  readonly #transport: DatagramTransport;
  readonly #endpoint: DatagramEndpoint;
  readonly #drivers: Map<DatagramServer, DatagramDriver> = new Map();
  readonly #alarm: Alarm;
  #stopping = false;
  #closed = false;
  #onEmpty: (() => void) | undefined;

  private constructor(options: AcceptorOptions, transport: DatagramTransport) {
    this.#options = options;
    this.#transport = transport;
    const { config, gate, clock, reception, shard } = options;
    const onTurnedAway = (deviceId: Uint8Array, from: unknown): void => {
      const { host, port } = from as DatagramAddress;
      const reason = { code: "rate-limited" } as const;
      reception.refuse({ peer: { transport: "udp", host, port }, claimedDeviceId: formatDeviceId(deviceId), reason });
    };
    const reports = new TokenBucket({ perSecond: MALFORMED_REPORTS, burst: MALFORMED_REPORTS }, clock.now());
    const onMalformed: EndpointConfig["onMalformed"] = (violation, breach, from) => {
      if (!reports.take(clock.now())) return;
      const { host, port } = from as DatagramAddress;
      const reason = { code: "protocol-violation", violation, during: "handshake" } as const;
      reception.refuse({ peer: { transport: "udp", host, port }, claimedDeviceId: undefined, reason, breach });
    };
    const several = shard && {
      ownsSessionId: (sessionId: Uint8Array) => shard.owns(sessionId),
      onUnrouted: (by: "session-id" | "address", data: Uint8Array, from: Address) =>
        shard.onUnrouted(by, data, from as DatagramAddress),
    };
    this.#endpoint = new DatagramEndpoint({ ...config, gate, onTurnedAway, onMalformed, ...several }, clock.now());
    shard?.attach({
      inject: (data, from) => this.#inject(data, datagramAddress(from)),
      shareCookieSecrets: (current, previous) => this.#endpoint.shareCookieSecrets(current, previous, clock.now()),
    });
    this.#alarm = new Alarm(clock, { onAlarm: () => this.#onAlarm() });
    transport.start({
      onDatagram: (data, from) => {
        if (shard?.takes(data, from) !== true) this.#takeTurn(data, datagramAddress(from));
      },
      onClose: (error) => this.#onClose(error),
    });
  }

  static async open(options: AcceptorOptions, socket: AcceptorSocket): Promise<UdpAcceptor> {
    return new UdpAcceptor(options, await bindUdp({ sender: nativeSockets(), ...socket }));
  }

  get address(): Peer {
    const { host, port } = this.#transport.address;
    return { transport: "udp", host, port };
  }

  get handshakeCount(): number {
    return this.#endpoint.handshakeCount;
  }

  /** Datagrams that reached no connection, by cause. */
  get drops(): ReadonlyMap<string, number> {
    return this.#endpoint.counters.drops;
  }

  /** Takes no more HELLOs, and ends every handshake; sessions are their owner's to close. */
  stopAccepting(): void {
    this.#stopping = true;
    for (const [connection, driver] of this.#drivers) {
      if (connection.state === "handshaking") driver.run(() => connection.abort());
    }
  }

  /** Resolves when the last session has ended and the socket is closed. */
  async drained(): Promise<void> {
    if (this.#drivers.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    this.#closed = true;
    this.#alarm.clear();
    this.#endpoint.wipe();
    this.#transport.close();
  }

  /** What costs public-key work waits for its turn; sessions do not. */
  #takeTurn(data: Uint8Array, from: DatagramAddress): void {
    const step = handshakeStep(data);
    if (step === undefined) {
      this.#onDatagram(data, from);
      return;
    }
    const { turnstile, reception } = this.#options;
    if (!turnstile.busy) return turnstile.pass(() => void this.#onDatagram(data, from));
    if (turnstile.waiting >= MAX_WAITING) return reception.noteDropped("handshake-queue");
    const kept = copyBytes(data);
    const handleLater = (): void => {
      if (!this.#closed) this.#onDatagram(kept, from);
    };
    turnstile.wait(handleLater, step === "finish");
  }

  #onDatagram(data: Uint8Array, from: DatagramAddress): readonly DatagramServer[] {
    const touched = this.#endpoint.handleDatagram(data, from, this.#options.clock.now());
    this.#transmit();
    for (const connection of touched) this.#driverOf(connection).drain();
    this.#alarm.set(this.#endpoint.pollTimeout());
    return touched;
  }

  /** A datagram that another process read. */
  #inject(data: Uint8Array, from: DatagramAddress): boolean {
    if (this.#closed) return false;
    return this.#onDatagram(data, from).some((connection) => connection.address.key === from.key);
  }

  #driverOf(connection: DatagramServer): DatagramDriver {
    return this.#drivers.get(connection) ?? this.#adopt(connection);
  }

  #adopt(connection: DatagramServer): DatagramDriver {
    const { clock, reception } = this.#options;
    const driver = new DatagramDriver(connection, this.#transport, clock, () => this.#release(connection));
    driver.owner = new ServerAttempt(reception, new DatagramLink(driver), {
      provideKeys: (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
      handTo: (session) => {
        driver.owner = session;
      },
      onFailed: () => {},
    });
    this.#drivers.set(connection, driver);
    if (this.#stopping) connection.abort();
    return driver;
  }

  #release(connection: DatagramServer): void {
    this.#drivers.delete(connection);
    if (this.#drivers.size === 0) this.#onEmpty?.();
  }

  #transmit(): void {
    for (let next = this.#endpoint.pollTransmit(); next !== undefined; next = this.#endpoint.pollTransmit()) {
      sendDatagram(this.#transport, next);
    }
  }

  #onAlarm(): void {
    const ended = this.#endpoint.handleTimeout(this.#options.clock.now());
    this.#transmit();
    for (const connection of ended) this.#driverOf(connection).drain();
    this.#alarm.set(this.#endpoint.pollTimeout());
  }

  #onClose(error: Error | undefined): void {
    const message = error?.message ?? "the socket was closed";
    for (const [connection, driver] of this.#drivers) {
      driver.run(() => connection.abort({ code: "transport-failed", message }));
    }
    if (error !== undefined) this.#options.onError(error);
  }
}

const TYPE_OFFSET = 3;
/** With its cookie: before that, a HELLO costs a MAC. */
const COOKIE_HELLO_BYTES: number = constants.HEADER_LENGTH + constants.COOKIE_HELLO_LENGTH;

/** The step of a handshake that a datagram claims to be, when that is one that costs much. */
function handshakeStep(data: Uint8Array): "begin" | "finish" | undefined {
  const type = data[TYPE_OFFSET];
  if (type === FrameType.HELLO_ACK) return "finish";
  return type === FrameType.HELLO && data.length === COOKIE_HELLO_BYTES ? "begin" : undefined;
}
