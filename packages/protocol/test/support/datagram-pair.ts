import type { DatagramConnection } from "../../src/connection/datagram.ts";
import type { Datagram } from "../../src/connection/datagram-channel.ts";
import type { DatagramClient } from "../../src/connection/datagram-client.ts";
import type { DatagramServer } from "../../src/connection/datagram-server.ts";
import type { DatagramEndpoint } from "../../src/connection/endpoint.ts";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import { addMs, earliest, type Instant } from "../../src/time.ts";
import {
  CLIENT_ADDRESS,
  type DatagramOverrides,
  datagramsFrom,
  newDatagramClient,
  newEndpoint,
  SERVER_ADDRESS,
} from "./datagrams.ts";
import { START, testPsk } from "./fixtures.ts";
import { eventsFrom } from "./streams.ts";

/** How often a datagram arrives: 0 when the network loses it. */
export type Network = (from: "client" | "server", data: Uint8Array) => number;

const DELIVERS: Network = () => 1;

/** A client and an endpoint with a network between that loses what a test says, on a clock that jumps from alarm to alarm. */
export class DatagramPair {
  readonly client: DatagramClient;
  readonly endpoint: DatagramEndpoint;
  readonly clientEvents: ConnectionEvent[] = [];
  readonly serverEvents: ConnectionEvent[] = [];
  now: Instant;
  network: Network = DELIVERS;
  readonly #servers: Set<DatagramServer> = new Set();

  constructor(overrides: DatagramOverrides = {}) {
    this.now = overrides.now ?? START;
    this.client = newDatagramClient(overrides);
    this.endpoint = newEndpoint(overrides);
  }

  /** The server's machine of the newest handshake. */
  get server(): DatagramServer {
    const server = [...this.#servers].at(-1);
    if (server === undefined) throw new Error("no HELLO with a cookie came yet");
    return server;
  }

  establish(): this {
    this.pump();
    if (this.client.state !== "established") throw new Error(`the client is ${this.client.state}`);
    this.takeEvents();
    return this;
  }

  /** Carries datagrams until nothing more moves. */
  pump(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const datagram of datagramsFrom(this.client)) {
        moved = true;
        this.#toServer(datagram);
      }
      for (const source of [this.endpoint, ...this.#servers]) {
        for (const datagram of datagramsFrom(source)) {
          moved = true;
          for (let copies = this.network("server", datagram.data); copies > 0; copies--) {
            this.client.handleDatagram(datagram.data, SERVER_ADDRESS, this.now);
          }
        }
      }
      this.#collect();
    }
  }

  /** Lets time pass, alarm by alarm, and carries what they send. */
  advance(milliseconds: number): void {
    const end = addMs(this.now, milliseconds);
    this.pump();
    for (let next = this.#nextAlarm(); next !== undefined && next <= end; next = this.#nextAlarm()) {
      this.now = next > this.now ? next : this.now;
      this.#ring();
      this.pump();
    }
    this.now = end;
  }

  /** Takes and clears the events so far. */
  takeEvents(): { readonly client: ConnectionEvent[]; readonly server: ConnectionEvent[] } {
    this.#collect();
    return { client: this.clientEvents.splice(0), server: this.serverEvents.splice(0) };
  }

  /** Texts of the messages that arrived at each end since the last call. */
  takeMessages(): { readonly client: string[]; readonly server: string[] } {
    const { client, server } = this.takeEvents();
    return { client: messages(client), server: messages(server) };
  }

  #toServer(datagram: Datagram): void {
    for (let copies = this.network("client", datagram.data); copies > 0; copies--) {
      for (const machine of this.endpoint.handleDatagram(datagram.data, CLIENT_ADDRESS, this.now)) {
        this.#servers.add(machine);
      }
    }
  }

  #collect(): void {
    this.clientEvents.push(...eventsFrom(this.client));
    for (const server of this.#servers) {
      const events = eventsFrom(server);
      this.serverEvents.push(...events);
      if (events.some(({ type }) => type === "keys-needed")) {
        server.provideKeys([testPsk()], this.now);
        this.serverEvents.push(...eventsFrom(server));
      }
    }
  }

  #nextAlarm(): Instant | undefined {
    return this.#machines.reduce<Instant | undefined>(
      (next, machine) => earliest(next, machine.pollTimeout()),
      this.endpoint.pollTimeout(),
    );
  }

  #ring(): void {
    this.endpoint.handleTimeout(this.now);
    for (const machine of this.#machines) {
      const due = machine.pollTimeout();
      if (due !== undefined && due <= this.now) machine.handleTimeout(this.now);
    }
  }

  get #machines(): DatagramConnection[] {
    return [this.client, ...this.#servers];
  }
}

function messages(events: readonly ConnectionEvent[]): string[] {
  return events.flatMap((event) => (event.type === "message" ? [Buffer.from(event.data).toString("latin1")] : []));
}
