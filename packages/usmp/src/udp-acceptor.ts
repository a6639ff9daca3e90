import { DatagramEndpoint, type DatagramServer, type Instant } from "@usmp/protocol";
import { bindUdp, type DatagramTransport } from "@usmp/transport";
import type { Peer } from "./api.ts";
import { DatagramDriver, datagramAddress, sendDatagram } from "./datagram-driver.ts";
import { DatagramLink } from "./links.ts";
import { ServerAttempt } from "./server-attempt.ts";
import type { AcceptorOptions } from "./tcp-acceptor.ts";

/** Serves UDP sessions on one socket. */
export class UdpAcceptor {
  readonly #options: AcceptorOptions;
  readonly #transport: DatagramTransport;
  readonly #endpoint: DatagramEndpoint;
  readonly #drivers: Map<DatagramServer, DatagramDriver> = new Map();
  #stopping = false;
  #alarmAt: Instant | undefined;
  #cancelAlarm: (() => void) | undefined;
  #onEmpty: (() => void) | undefined;

  private constructor(options: AcceptorOptions & { readonly maxSessions: number }, transport: DatagramTransport) {
    this.#options = options;
    this.#transport = transport;
    const { config, maxSessions, maxHandshakes, clock } = options;
    this.#endpoint = new DatagramEndpoint({ ...config, maxSessions, maxHandshakes }, clock.now());
    transport.start({
      onDatagram: (data, from) => this.#onDatagram(data, datagramAddress(from)),
      onClose: (error) => this.#onClose(error),
    });
  }

  static async open(
    options: AcceptorOptions & { readonly maxSessions: number },
    host: string | undefined,
    port: number,
  ): Promise<UdpAcceptor> {
    return new UdpAcceptor(options, await bindUdp({ host, port }));
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
    this.#cancelAlarm?.();
    this.#endpoint.wipe();
    this.#transport.close();
  }

  #onDatagram(data: Uint8Array, from: ReturnType<typeof datagramAddress>): void {
    const touched = this.#endpoint.handleDatagram(data, from, this.#options.clock.now());
    this.#transmit();
    for (const connection of touched) this.#driverOf(connection).drain();
    this.#arm();
  }

  #driverOf(connection: DatagramServer): DatagramDriver {
    return this.#drivers.get(connection) ?? this.#adopt(connection);
  }

  #adopt(connection: DatagramServer): DatagramDriver {
    const { clock, reception } = this.#options;
    const driver = new DatagramDriver(connection, this.#transport, clock, () => this.#release(connection));
    driver.owner = new ServerAttempt(
      reception,
      new DatagramLink(driver),
      (candidates) => driver.run((_, now) => connection.provideKeys(candidates, now)),
      (session) => {
        driver.owner = session;
      },
    );
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

  #arm(): void {
    const next = this.#endpoint.pollTimeout();
    if (next === undefined || (this.#alarmAt !== undefined && this.#alarmAt <= next)) return;
    this.#cancelAlarm?.();
    this.#alarmAt = next;
    this.#cancelAlarm = this.#options.clock.schedule(next, () => {
      this.#alarmAt = undefined;
      this.#endpoint.handleTimeout(this.#options.clock.now());
      this.#transmit();
      this.#arm();
    });
  }

  #onClose(error: Error | undefined): void {
    const message = error?.message ?? "the socket was closed";
    for (const [connection, driver] of this.#drivers) {
      driver.run(() => connection.abort({ code: "transport-failed", message }));
    }
    if (error !== undefined) this.#options.onError(error);
  }
}
