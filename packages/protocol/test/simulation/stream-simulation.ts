import assert from "node:assert/strict";
import {
  type Direction,
  type SeededRandom,
  type StreamConditions,
  type StreamDelivery,
  StreamLink,
} from "@usmp/testkit";
import type { StreamConnection } from "../../src/connection/stream.ts";
import { StreamClient } from "../../src/connection/stream-client.ts";
import { StreamServer } from "../../src/connection/stream-server.ts";
import type { Side } from "../../src/crypto/provider.ts";
import type { Instant } from "../../src/time.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { clientConfig, serverConfig, testPsk } from "../support/fixtures.ts";
import { drawProgram, other, type Program, suspendedMs } from "./program.ts";
import type { SimulatedEnd } from "./simulated-end.ts";
import { Simulation } from "./simulation.ts";

/** Everything that waits on a path of ours arrives within this: in-flight chunks, a PING that makes a peer show its epoch. */
const RECOVERY_MS = 90_000;
/** Within an idle timeout of a minute and a keepalive of half of it, either end may miss the other so long. */
const BEARABLE_SILENCE_MS = 20_000;
const SIDES: readonly Side[] = ["client", "server"];
const DIRECTION: Readonly<Record<Side, Direction>> = { client: "client-to-server", server: "server-to-client" };

/** One schedule of a client and a server on TCP. */
export class StreamSimulation extends Simulation<StreamConnection> {
  readonly #program: Program;
  readonly #damaged: boolean;
  readonly #link: StreamLink;
  readonly #client: StreamClient;
  readonly #server: StreamServer;
  /** What came while the application stalled: its driver has stopped reading. */
  readonly #unread: Record<Side, Uint8Array[]> = { client: [], server: [] };
  readonly #ended: Set<Side> = new Set();
  /** What came for a suspended process. */
  readonly #sockets: Record<Side, StreamDelivery[]> = { client: [], server: [] };
  readonly #cut: Set<Direction> = new Set();
  readonly #cutAt: number | undefined;
  /** How many messages went before each PING that is not answered. */
  readonly #before: Record<Side, number[]> = { client: [], server: [] };
  readonly #pings: Record<Side, number> = { client: 0, server: 0 };

  constructor(random: SeededRandom, acceptance?: SeededRandom) {
    super(random, {
      accounts: false,
      acceptance,
      send: (connection, message, now) => connection.send(message, now),
      close: (connection, now) => connection.close(now),
    });
    const acknowledge = acceptance && "accepted";
    const conditions = drawConditions(random);
    this.#program = drawProgram(random);
    this.#cutAt = random.chance(0.1) ? random.int(20_000) : undefined;
    this.#damaged = (conditions.damage ?? 0) > 0;
    this.#link = new StreamLink({ random: random.fork(), conditions, tap: this.ledger.observeStream });
    const slab = new FrameSlab();
    this.#client = new StreamClient(clientConfig({ crypto: this.crypto.client, acknowledge }), { slab }, this.now);
    this.#server = new StreamServer(serverConfig({ crypto: this.crypto.server, acknowledge }), { slab }, this.now);
    this.ends.client.connection = this.#client;
    this.ends.server.connection = this.#server;
  }

  /** Answers whether there was a session that lasted, or "failed" when damage ended the handshake. */
  run(): "lasted" | "ended" | "failed" {
    this.until("a session, or the end of its handshake", 30_000, () => this.bothEstablished || this.bothClosed);
    if (!this.bothEstablished) {
      assert(this.#damaged, `the handshake failed on a good path (${this.describe()})`);
      this.#seeAllGone();
      return "failed";
    }
    this.scheduleProgram(this.#program);
    if (this.#cutAt !== undefined) this.schedule(this.#cutAt, () => this.#cutLine());
    this.runTasks();
    const outcome = this.#outcome();
    this.#seeAllGone();
    return outcome;
  }

  protected override *timers(): Generator<StreamConnection> {
    if (!this.ends.client.suspended) yield this.#client;
    if (!this.ends.server.suspended) yield this.#server;
  }

  protected override nextDeliveryAt(): Instant | undefined {
    return this.#link.nextDeliveryAt();
  }

  protected override deliver(): void {
    for (const delivery of this.#link.deliver(this.now)) {
      if (this.#cut.has(delivery.direction)) continue;
      const end = this.ends[delivery.direction === "client-to-server" ? "server" : "client"];
      if (end.suspended) this.#sockets[end.side].push(delivery);
      else this.#receive(end, delivery);
    }
  }

  protected override drain(): void {
    for (const side of SIDES) {
      const { connection } = this.ends[side];
      if (connection === undefined) continue;
      this.hear(this.ends[side], connection, (event) => {
        if (event.type === "keys-needed") this.#server.provideKeys([testPsk()], this.now);
        this.ends[side].onEvent(event);
        if (event.type === "pong") this.#judgePong(side);
      });
      this.#notePings(side, connection);
      for (let bytes = connection.pollTransmit(); bytes !== undefined; bytes = connection.pollTransmit()) {
        if (!this.#ended.has(side)) this.#link.send(DIRECTION[side], bytes, this.now);
      }
      if (connection.state !== "closed" || this.#ended.has(side)) continue;
      this.#ended.add(side);
      this.#link.end(DIRECTION[side], this.now);
    }
    this.checkMemory();
  }

  #notePings(side: Side, { counters }: StreamConnection): void {
    for (; this.#pings[side] < counters.pingsSent; this.#pings[side]++)
      this.#before[side].push(this.ends[side].outgoing.sent);
  }

  /** A PONG says that what went before its PING is accepted, where applications have to accept. */
  #judgePong(side: Side): void {
    const before = this.#before[side].shift() ?? 0;
    const { accepted } = this.ends[side].outgoing;
    if (accepted !== undefined && accepted < before)
      assert.fail(`${side}: a PONG came for ${before} messages, of which ${accepted} are accepted`);
  }

  protected override liveConnections(side: Side): number {
    return this.ends[side].closed === undefined ? 1 : 0;
  }

  protected override stall(end: SimulatedEnd<StreamConnection>): void {
    end.stalled = true;
    end.connection?.pauseReceiving();
  }

  protected override resume(end: SimulatedEnd<StreamConnection>): void {
    end.stalled = false;
    end.connection?.resumeReceiving(this.now);
    this.drain();
    for (const bytes of this.#unread[end.side].splice(0)) {
      end.connection?.handleBytes(bytes, this.now);
      this.drain();
    }
  }

  protected override wake(end: SimulatedEnd<StreamConnection>): void {
    for (const delivery of this.#sockets[end.side].splice(0)) this.#receive(end, delivery);
    this.drain();
  }

  #receive(end: SimulatedEnd<StreamConnection>, { bytes, ended }: StreamDelivery): void {
    if (ended) {
      // A driver that has stopped reading hears of the end when it reads on.
      if (end.stalled) this.resume(end);
      end.connection?.handleEnd();
    } else if (end.stalled) this.#unread[end.side].push(bytes);
    else end.connection?.handleBytes(bytes, this.now);
    this.drain();
  }

  #outcome(): "lasted" | "ended" {
    const { client, server } = this.ends;
    const silenced = this.#cutAt !== undefined || suspendedMs(this.#program) > BEARABLE_SILENCE_MS;
    if (this.#program.lasting && !this.#damaged && !silenced) {
      this.#seeItLast();
      return "lasted";
    }
    for (const end of [client, server]) if (end.usable) end.connection?.close(this.now);
    return "ended";
  }

  #seeItLast(): void {
    const { client, server } = this.ends;
    this.until("everything delivered on a good path", RECOVERY_MS, () => this.allDelivered);
    assert(client.usable && server.usable, `nobody closed, but it ended (${this.describe()})`);
    this.pass(this.random.pick([2_000, 45_000]));
    this.assertPingWorks("client");
    this.assertPingWorks("server");
    this.assertSameEpoch();
    const first = this.random.pick(SIDES);
    for (const side of [first, other(first)]) this.assertRekeyWorks(side);
    this.assertCloseWorks(this.random.pick(SIDES));
  }

  #seeAllGone(): void {
    this.until("the end of both", 120_000, () => this.bothClosed);
    this.checkMemory();
  }

  /** From now on nothing passes one way or both, and nobody is told: half-open, as after a router's restart. */
  #cutLine(): void {
    for (const side of this.random.pick([["client"], ["server"], SIDES] as const)) this.#cut.add(DIRECTION[side]);
  }
}

function drawConditions(random: SeededRandom): StreamConditions {
  return {
    chunks: random.pick(["written", "written", "random", "bytes"]),
    latencyMs: random.pick([0, 1, 20, 150]),
    jitterMs: random.pick([0, 10, 300]),
    damage: random.chance(0.15) ? random.pick([0.001, 0.02, 0.2]) : 0,
  };
}
