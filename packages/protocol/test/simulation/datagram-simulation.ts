import assert from "node:assert/strict";
import { type DatagramDelivery, DatagramLink, type SeededRandom } from "@usmp/testkit";
import type { DatagramConnection } from "../../src/connection/datagram.ts";
import { DatagramClient } from "../../src/connection/datagram-client.ts";
import type { DatagramServer } from "../../src/connection/datagram-server.ts";
import { DatagramEndpoint } from "../../src/connection/endpoint.ts";
import type { Address, ConnectionEvent } from "../../src/connection/events.ts";
import type { Side } from "../../src/crypto/provider.ts";
import { Gate } from "../../src/fairness/gate.ts";
import { parseLimits } from "../../src/fairness/limits.ts";
import type { Instant } from "../../src/time.ts";
import { clientConfig, serverConfig, testPsk } from "../support/fixtures.ts";
import { MAX_DATAGRAMS_PER_INPUT, SOCKET_BUFFER } from "./bounds.ts";
import { DatagramAttacker } from "./datagram-attacker.ts";
import { bothWays, type DatagramNetwork, HEALED, type PathConditions, silentMs } from "./datagram-network.ts";
import { MoveOracle } from "./move-oracle.ts";
import { drawProgram, type Program, suspendedMs } from "./program.ts";
import type { SimulatedEnd } from "./simulated-end.ts";
import { Simulation } from "./simulation.ts";

const SERVER_ADDRESS: Address = { key: "server" };
/** Spec section 6: what the stateless half of a server sends, to what it received. */
const MAX_AMPLIFICATION = 1.6;
/** The longest that a healed session may need: a keepalive to bring back an address, a hold, a resend, and what was queued. */
const RECOVERY_MS = 75_000;
/** The PONG of a PING from before the link healed may be on its way to a former address, until the next keepalive. */
const SETTLING_MS = 45_000;
/** A server's idle time, after the last that a replay can bring it, and its handshakes' deadlines. */
const ALL_GONE_MS = 150_000;
/** The server's limit for the acknowledgement of SESSION_OK, and some. */
const CONFIRMING_MS = 11_000;
/** Within an idle timeout of a minute, a keepalive of half of it, and what loss adds, either end may miss the other so long. */
const BEARABLE_SILENCE_MS = 20_000;

/** One schedule of a client and a server on UDP. */
export class DatagramSimulation extends Simulation<DatagramConnection> {
  readonly #network: DatagramNetwork;
  readonly #program: Program;
  readonly #link: DatagramLink;
  readonly #attacker: DatagramAttacker;
  readonly #endpoint: DatagramEndpoint;
  readonly #client: DatagramClient;
  readonly #servers: Set<DatagramServer> = new Set();
  /** What the server's connections said before it was known which of them is the client's. */
  readonly #candidates: Map<DatagramServer, ConnectionEvent[]> = new Map();
  readonly #addresses: Map<string, Address> = new Map();
  readonly #moveOracle: MoveOracle = new MoveOracle();
  /** What came for a suspended process. */
  readonly #sockets: Record<Side, DatagramDelivery[]> = { client: [], server: [] };

  constructor(random: SeededRandom, drawNetwork: (random: SeededRandom) => DatagramNetwork, acceptance?: SeededRandom) {
    super(random, {
      accounts: true,
      acceptance,
      send: (connection, message, now) => connection.send(message, now),
      close: (connection, now) => connection.close(now),
    });
    const acknowledge = acceptance && "accepted";
    this.#network = drawNetwork(random);
    this.#program = drawProgram(random);
    this.#link = new DatagramLink({
      random: random.fork(),
      tap: (event) => {
        this.ledger.observe(event);
        this.#attacker.hear(event);
      },
    });
    this.#link.conditions = this.#network.fromStart ? this.#network.conditions : HEALED;
    this.#attacker = new DatagramAttacker(random.fork(), this.#link);
    this.#endpoint = new DatagramEndpoint(
      {
        ...serverConfig({ crypto: this.crypto.server, acknowledge }),
        gate: new Gate(parseLimits({ handshakes: 4 }), this.now),
      },
      this.now,
    );
    this.#client = new DatagramClient(
      clientConfig({ crypto: this.crypto.client, acknowledge }),
      { peer: SERVER_ADDRESS },
      this.now,
    );
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
    if (!this.ends.client.suspended) yield this.#client;
    if (this.ends.server.suspended) return;
    yield this.#endpoint;
    yield* this.#servers;
  }

  protected override nextDeliveryAt(): Instant | undefined {
    return this.#link.nextDeliveryAt();
  }

  protected override deliver(): void {
    for (const delivery of this.#link.deliver(this.now)) {
      const side = delivery.direction === "server-to-client" ? "client" : "server";
      const socket = this.#sockets[side];
      if (!this.ends[side].suspended) this.#receive(side, delivery);
      else if (socket.length < SOCKET_BUFFER) socket.push(delivery);
    }
  }

  protected override drain(): void {
    this.#transmit(this.#client, "client-to-server");
    this.hear(this.ends.client, this.#client, (event) => {
      this.ends.client.onEvent(event);
      if (event.type === "established") this.#adopt(event.sessionId);
    });
    this.#transmit(this.#endpoint, "server-to-client");
    const { bytesSent, bytesReceived } = this.#endpoint.counters;
    if (bytesSent > MAX_AMPLIFICATION * bytesReceived) {
      assert.fail(`${bytesSent} bytes answer ${bytesReceived} without a cookie`);
    }
    for (const server of this.#servers) this.#drainServer(server);
    this.checkMemory();
  }

  protected override liveConnections(side: Side): number {
    if (side === "server") return this.#servers.size;
    return this.ends.client.closed === undefined ? 1 : 0;
  }

  protected override stall(end: SimulatedEnd<DatagramConnection>): void {
    end.stalled = true;
    end.connection?.pauseReceiving();
  }

  protected override resume(end: SimulatedEnd<DatagramConnection>): void {
    end.stalled = false;
    end.connection?.resumeReceiving();
  }

  protected override wake(end: SimulatedEnd<DatagramConnection>): void {
    for (const delivery of this.#sockets[end.side].splice(0)) this.#receive(end.side, delivery);
  }

  #receive(side: Side, { bytes, from }: DatagramDelivery): void {
    if (side === "client") this.#client.handleDatagram(bytes, SERVER_ADDRESS, this.now);
    else {
      this.#moveOracle.noteInput(bytes);
      const touched = this.#endpoint.handleDatagram(bytes, this.#address(from), this.now);
      for (const server of touched) this.#servers.add(server);
    }
    this.drain();
    this.#moveOracle.noteSettled();
  }

  #drainServer(server: DatagramServer): void {
    this.hear(this.ends.server, server, (event) => {
      if (event.type === "keys-needed") server.provideKeys([testPsk()], this.now);
      if (event.type === "moved") this.#moveOracle.noteMoved(event.proven);
      if (server === this.ends.server.connection) this.ends.server.onEvent(event);
      else this.#hearCandidate(server, event);
    });
    this.#transmit(server, "server-to-client");
    if (server.state === "closed") this.#servers.delete(server);
  }

  /**
   * A server's connection that may turn out to be the client's session. Someone who relays HELLOs under an address of its own brings
   * others as far as "established"; without the keys nobody brings them further.
   */
  #hearCandidate(server: DatagramServer, event: ConnectionEvent): void {
    const heard = this.#candidates.get(server) ?? [];
    this.#candidates.set(server, heard);
    if (!["keys-needed", "proof-refused", "established", "closed"].includes(event.type)) {
      assert.fail(`a ${event.type} event on a session that the client does not know`);
    }
    heard.push(event);
  }

  /** The client's session: the one of the SESSION_OK that it took. */
  #adopt(sessionId: Uint8Array): void {
    for (const [server, heard] of this.#candidates) {
      const established = heard.find((event) => event.type === "established");
      if (established === undefined || Buffer.compare(established.sessionId, sessionId) !== 0) continue;
      this.ends.server.connection = server;
      for (const event of heard) this.ends.server.onEvent(event);
      this.#candidates.delete(server);
    }
    assert(this.ends.server.connection !== undefined, "the client is in a session that no server made");
  }

  #transmit(
    source: Pick<DatagramConnection, "pollTransmit">,
    direction: "client-to-server" | "server-to-client",
  ): void {
    let count = 0;
    for (let next = source.pollTransmit(); next !== undefined; next = source.pollTransmit()) {
      if (++count > MAX_DATAGRAMS_PER_INPUT) assert.fail(`one input made ${count} datagrams ${direction}`);
      if (direction === "client-to-server") this.#link.send(direction, next.data, this.now);
      else {
        this.#moveOracle.noteOutput(next.data);
        this.#link.send(direction, next.data, this.now, next.to.key);
      }
    }
  }

  #scheduleNetwork(): void {
    const { moves, outages, conditions, attacks, shadows } = this.#network;
    for (const [index, at] of moves.entries()) this.schedule(at, () => this.#link.moveClient(`client-${index}`));
    for (const { at, ms } of outages) {
      this.schedule(at, () => {
        this.#link.conditions = bothWays({ drop: 1 });
        this.schedule(ms, () => this.#setConditions(conditions));
      });
    }
    for (const { at, ms, delayMs } of shadows) {
      this.schedule(at, () => this.#attacker.shadow(delayMs));
      this.schedule(at + ms, () => this.#attacker.shadow(undefined));
    }
    this.#scheduleAttacks(attacks);
  }

  #scheduleAttacks(count: number): void {
    for (let i = 0; i < count; i++) this.schedule(this.random.int(10_000), () => this.#attacker.strike(this.now));
  }

  #setConditions(conditions: PathConditions): void {
    this.#link.conditions = conditions;
  }

  #outcome(): "lasted" | "ended" | "failed" {
    const { client, server } = this.ends;
    // SESSION_OK was not acknowledged in time: for the server the handshake never ended. A client that moves and is silent cannot know.
    if (!server.proven) this.pass(CONFIRMING_MS);
    if (server.closed?.code === "handshake-timeout") return "failed";
    const silentFor = silentMs(this.#network) + suspendedMs(this.#program);
    const silenced = silentFor > BEARABLE_SILENCE_MS && (client.closed ?? server.closed) !== undefined;
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
    // The client's own frames bring the session back to its address, if an attacker's copy moved it. The first PONG may answer a
    // PING from before it moved.
    this.assertPingWorks("client", SETTLING_MS);
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
    this.checkMemory();
    assert.equal(this.#endpoint.sessionCount + this.#endpoint.handshakeCount, 0, "the endpoint keeps what has ended");
  }

  #address(key: string): Address {
    const known = this.#addresses.get(key) ?? { key };
    this.#addresses.set(key, known);
    return known;
  }
}
