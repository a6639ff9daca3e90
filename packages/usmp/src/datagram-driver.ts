import type { Address, Datagram, DatagramConnection } from "@usmp/protocol";
import type { DatagramTransport, PeerAddress } from "@usmp/transport";
import type { Clock } from "./clock.ts";
import { Driver } from "./driver.ts";

/** A datagram peer's address as the core knows it (by its key) and as the transport does (host and port). */
export interface DatagramAddress extends Address, PeerAddress {
  readonly host: string;
}

export function datagramAddress({ host, port }: PeerAddress): DatagramAddress {
  return { key: `${host} ${port}`, host, port };
}

/** Hands a datagram of the core to the transport; the core gives addresses back as it was given them. */
export function sendDatagram(transport: DatagramTransport, { data, to }: Datagram): void {
  transport.send(data, to as DatagramAddress);
}

/** Drives one datagram connection: a client's, or one of a server's, whose datagrams the endpoint routes. */
export class DatagramDriver extends Driver<DatagramConnection> {
  readonly #transport: DatagramTransport;
  readonly #released: () => void;

  /** `released` is called once, when the connection has ended. */
  constructor(connection: DatagramConnection, transport: DatagramTransport, clock: Clock, released: () => void) {
    super(connection, clock);
    this.#transport = transport;
    this.#released = released;
  }

  get peer(): DatagramAddress {
    return this.connection.address as DatagramAddress;
  }

  pause(): void {
    this.connection.pauseReceiving();
  }

  resume(): void {
    this.connection.resumeReceiving();
  }

  protected override transmit(): void {
    for (
      let datagram = this.connection.pollTransmit();
      datagram !== undefined;
      datagram = this.connection.pollTransmit()
    ) {
      sendDatagram(this.#transport, datagram);
    }
  }

  protected override onClosed(): void {
    this.#released();
  }
}
