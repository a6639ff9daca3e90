import assert from "node:assert/strict";
import { DatagramLink, type SeededRandom } from "@usmp/testkit";
import type { DatagramConnection } from "../../src/connection/datagram.ts";
import { DatagramClient } from "../../src/connection/datagram-client.ts";
import type { DatagramServer } from "../../src/connection/datagram-server.ts";
import { DatagramEndpoint } from "../../src/connection/endpoint.ts";
import type { Address } from "../../src/connection/events.ts";
import { Gate } from "../../src/fairness/gate.ts";
import { parseLimits } from "../../src/fairness/limits.ts";
import type { Instant } from "../../src/time.ts";
import { clientConfig, serverConfig, testPsk } from "../support/fixtures.ts";
import { eventsFrom } from "../support/streams.ts";
import { DatagramAttacker } from "./datagram-attacker.ts";
import { type DatagramNetwork, drawNetwork, HEALED, maySilence } from "./datagram-network.ts";
import { drawProgram, type Program } from "./program.ts";
import type { SimulatedEnd } from "./simulated-end.ts";
import { Simulation } from "./simulation.ts";

const SERVER_ADDRESS: Address = { key: "server" };
/** One input makes a connection send so many datagrams at most: UTACKs under each live key, a frame of each lane, a few messages more. */
const MAX_OUTBOX = 12;
/** Spec section 6: what the stateless half of a server sends, to what it received. */
const MAX_AMPLIFICATION = 1.6;
/** The longest that a healed session may need: a keepalive to bring back an address, a hold, a resend, and what was queued. */
const RECOVERY_MS = 75_000;
/** The PONG of a PING from before the link healed may be on its way to a former address, until the next keepalive. */
const SETTLING_MS = 45_000;
/** A server's idle time, after the last that a replay can bring it, and its handshakes' deadlines. */
const ALL_GONE_MS = 150_000;

/** One schedule of a client and a server on UDP. */
export class DatagramSimulation extends Simulation<DatagramConnection> {
  readonly #network: DatagramNetwork;
  readonly #program: Program;
  readonly #link: DatagramLink;
  readonly #attacker: DatagramAttacker;
  readonly #endpoint: DatagramEndpoint;
  readonly #client: DatagramClient;
  readonly #servers: Set<DatagramServer> = new Set();
  readonly #addresses: Map<string, Address> = new Map();

  constructor(random: SeededRandom) {
    super(random, {
      accounts: true,
      send: (connection, message, now) => connection.send(message, now),
      close: (connection, now) => connection.close(now),
    });
    this.#network = drawNetwork(random);
    this.#program = drawProgram(random);
    this.#link = new DatagramLink({
      random: random.fork(),
      conditions: this.#network.fromStart ? this.#network.conditions : HEALED,
      tap: (event) => {
        this.ledger.observe(event);
        this.#attacker.hear(event);
      },
    });
    this.#attacker = new DatagramAttacker(random.fork(), this.#link);
    this.#endpoint = new DatagramEndpoint(
      {
        ...serverConfig({ crypto: this.crypto.server }),
        gate: new Gate(parseLimits({ handshakes: 4 }), this.now),
      },
      this.now,
    );
    this.#client = new DatagramClient(clientConfig({ crypto: this.crypto.client }), { peer: SERVER_ADDRESS }, this.now);
    this.ends.client.connection = this.#client;
  }

  /** Answers whether there was a session that lasted, or "failed" when the handshake ran out on a bad link. */
  run(): "lasted" | "ended" | "failed" {
    this.#scheduleAttacks(this.#network.fromStart ? this.#network.attacks : 0);
    this.until("a session, or the handshakes' deadlines", ALL_GONE_MS, () => this.bothEstablished || this.bothClosed);
    if (!this.bothEstablished) {
      assert(this.#network.fromStart, `the handshake failed on a good link (${this.describe()})`);
      this.#seeAllGone();
      return "failed";
    }
    this.#setConditions(this.#network.conditions);
    this.#scheduleNetwork();
    this.scheduleProgram(this.#program);
    this.runTasks();
    this.#setConditions(HEALED);
    const outcome = this.#outcome();
    this.#seeAllGone();
    return outcome;
  }

  protected override *timers(): Generator<{
    pollTimeout(): Instant | undefined;
    handleTimeout(now: Instant): void;
  }> {
    yield this.#endpoint;
    yield this.#client;
    yield* this.#servers;
  }

  protected override nextDeliveryAt(): Instant | undefined {
    return this.#link.nextDeliveryAt();
  }

  protected override deliver(): void {
    for (const { direction, bytes, from } of this.#link.deliver(this.now)) {
      if (direction === "server-to-client") this.#client.handleDatagram(bytes, SERVER_ADDRESS, this.now);
      else {
        for (const server of this.#endpoint.handleDatagram(bytes, this.#address(from), this.now))
          this.#servers.add(server);
      }
      this.drain();
    }
  }

  protected override drain(): void {
    this.#transmit(this.#client, "client-to-server");
    for (const event of eventsFrom(this.#client)) this.ends.client.onEvent(event);
    this.#transmit(this.#endpoint, "server-to-client");
    const { bytesSent, bytesReceived } = this.#endpoint.counters;
    assert(
      bytesSent <= MAX_AMPLIFICATION * bytesReceived,
      `${bytesSent} bytes answer ${bytesReceived} without a cookie`,
    );
    for (const server of this.#servers) this.#drainServer(server);
  }

  protected override stall(end: SimulatedEnd<DatagramConnection>): void {
    end.stalled = true;
    end.connection?.pauseReceiving();
  }

  protected override resume(end: SimulatedEnd<DatagramConnection>): void {
    end.stalled = false;
    end.connection?.resumeReceiving();
  }

  #drainServer(server: DatagramServer): void {
    for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
      if (event.type === "keys-needed") server.provideKeys([testPsk()], this.now);
      if (event.type === "established") {
        assert(this.ends.server.connection === undefined, "a second session came of one client's handshake");
        this.ends.server.connection = server;
      }
      if (server === this.ends.server.connection) this.ends.server.onEvent(event);
    }
    this.#transmit(server, "server-to-client");
    if (server.state === "closed") this.#servers.delete(server);
  }

  #transmit(
    source: Pick<DatagramConnection, "pollTransmit">,
    direction: "client-to-server" | "server-to-client",
  ): void {
    let count = 0;
    for (let next = source.pollTransmit(); next !== undefined; next = source.pollTransmit()) {
      assert(++count <= MAX_OUTBOX, `one input made ${count} datagrams ${direction}`);
      if (direction === "client-to-server") this.#link.send(direction, next.data, this.now);
      else this.#link.send(direction, next.data, this.now, next.to.key);
    }
  }

  #scheduleNetwork(): void {
    const { moves, outages, conditions, attacks } = this.#network;
    for (const [index, at] of moves.entries()) this.schedule(at, () => this.#link.moveClient(`client-${index}`));
    for (const { at, ms } of outages) {
      this.schedule(at, () => {
        this.#setConditions({ drop: 1 });
        this.schedule(ms, () => this.#setConditions(conditions));
      });
    }
    this.#scheduleAttacks(attacks);
  }

  #scheduleAttacks(count: number): void {
    for (let i = 0; i < count; i++) this.schedule(this.random.int(10_000), () => this.#attacker.strike(this.now));
  }

  #setConditions(conditions: DatagramNetwork["conditions"]): void {
    this.#link.conditions = { "client-to-server": conditions, "server-to-client": conditions };
  }

  #outcome(): "lasted" | "ended" | "failed" {
    const { client, server } = this.ends;
    // SESSION_OK was not acknowledged in time: for the server the handshake never ended.
    if (this.#network.fromStart && server.closed?.code === "handshake-timeout") return "failed";
    const silenced = maySilence(this.#network) && (client.closed ?? server.closed) !== undefined;
    if (this.#program.lasting && !silenced) {
      this.#seeItLast();
      return "lasted";
    }
    for (const end of [client, server]) if (end.usable) end.connection?.close(this.now);
    return "ended";
  }

  #seeItLast(): void {
    const { client, server } = this.ends;
    this.until("everything delivered after the link healed", RECOVERY_MS, () => this.allDelivered);
    assert(client.usable && server.usable, `nobody closed, but it ended (${this.describe()})`);
    this.pass(this.random.pick([0, 2_000, 25_000]));
    // The client's own frames bring the session back to its address, if an attacker's replay moved it.
    this.assertPingWorks("client", SETTLING_MS);
    assert.equal(server.connection?.address.key, this.#link.clientAddress, "the session is not where the client is");
    this.pass(25_000);
    this.assertSameEpoch();
    this.assertPingWorks("server");
    const first = this.random.pick(["client", "server"] as const);
    for (const side of [first, first === "client" ? "server" : "client"] as const) this.assertRekeyWorks(side);
    this.assertCloseWorks(this.random.pick(["client", "server"]));
  }

  #seeAllGone(): void {
    this.until("the end of everything", ALL_GONE_MS, () => this.bothClosed && this.#servers.size === 0);
    assert.deepEqual(this.wipes.alive, [], "keys outlive the session");
    assert.equal(this.#endpoint.sessionCount + this.#endpoint.handshakeCount, 0, "the endpoint keeps what has ended");
  }

  #address(key: string): Address {
    const known = this.#addresses.get(key) ?? { key };
    this.#addresses.set(key, known);
    return known;
  }
}
