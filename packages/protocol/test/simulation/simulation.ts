import assert from "node:assert/strict";
import { defaultCrypto } from "@usmp/crypto";
import { NonceLedger, type SeededRandom, seededCrypto, toyCrypto } from "@usmp/testkit";
import type { Connection } from "../../src/connection/connection.ts";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import type { CryptoProvider, Side } from "../../src/crypto/provider.ts";
import { addMs, earliest, type Instant } from "../../src/time.ts";
import { START } from "../support/fixtures.ts";
import { type WipeLedger, wipeLedger } from "../support/wipe-ledger.ts";
import { MAX_EVENTS_PER_INPUT, MAX_LIVE_EPOCHS, MAX_STEPS } from "./bounds.ts";
import { EpochObserver } from "./epoch-observer.ts";
import { MessageOracle } from "./message-oracle.ts";
import { type Action, other, type Program, type Step } from "./program.ts";
import { SimulatedEnd } from "./simulated-end.ts";

interface Task {
  readonly at: Instant;
  readonly run: () => void;
}

/** An application, or a peer, that this many inputs at one moment do not satisfy is going round in circles. */
const MAX_ROUNDS_AT_ONE_MOMENT = 500;
/** What is done at one timeout can make the next one due; a driver calls again then, but not for ever. */
const MAX_TIMEOUT_CALLS = 4;
/** The share of schedules with real cryptography: it takes several times as long, and shows the protocol nothing new. */
const REAL_CRYPTO = 0.05;
/** How long applications take to accept a message, where they have to: a store that is quick, and one that stalls. */
const ACCEPTING_MS = [0, 0, 1, 20, 400, 3_000];
/** A suspended process cannot resume its application; it is tried again after so long. */
const RESUME_RETRY_MS = 100;
const SIDES: readonly Side[] = ["client", "server"];

export interface SimulationOptions<C extends Connection> {
  /** On datagrams: the close says what became of each message. */
  readonly accounts: boolean;
  /** Where applications have to accept what came: what draws how long that takes. */
  readonly acceptance?: SeededRandom | undefined;
  readonly send: (connection: C, message: Uint8Array, now: Instant) => number;
  readonly close: (connection: C, now: Instant) => void;
}

/**
 * Two ends of ours, one link, one virtual clock. It jumps from one moment at which something is due to the next, and every event
 * and frame on the way goes past the oracles. What the link is, and what may be asked of a session in the end, subclasses know.
 */
export abstract class Simulation<C extends Connection> {
  protected now: Instant = START;
  protected readonly random: SeededRandom;
  protected readonly ledger: NonceLedger = new NonceLedger();
  protected readonly wipes: Readonly<Record<Side, WipeLedger>>;
  protected readonly ends: Readonly<Record<Side, SimulatedEnd<C>>>;
  protected readonly crypto: Readonly<Record<Side, CryptoProvider>>;
  readonly #tasks: Task[] = [];
  readonly #options: SimulationOptions<C>;
  #roundsNow = 0;
  #steps = 0;

  constructor(random: SeededRandom, options: SimulationOptions<C>) {
    this.random = random;
    this.#options = options;
    const real = random.chance(REAL_CRYPTO);
    const source = random.fork();
    const provider = real ? seededCrypto(defaultCrypto(), source) : toyCrypto(source);
    this.wipes = { client: wipeLedger(provider), server: wipeLedger(provider) };
    const toServer = new MessageOracle("client to server");
    const toClient = new MessageOracle("server to client");
    this.ends = {
      client: new SimulatedEnd<C>("client", new EpochObserver(), toServer, toClient, options),
      server: new SimulatedEnd<C>("server", new EpochObserver(), toClient, toServer, options),
    };
    for (const side of SIDES) this.#acceptLater(this.ends[side], options.acceptance);
    const watched = (side: Side): CryptoProvider =>
      this.ends[side].epochs.watch(this.ledger.watch(this.wipes[side].provider));
    this.crypto = { client: watched("client"), server: watched("server") };
  }

  /** Frames that were sealed: a simulation in which there were none has shown nothing. */
  get sealedFrames(): number {
    return this.ledger.sealedFrames;
  }

  get bothEstablished(): boolean {
    return this.ends.client.established && this.ends.server.established;
  }

  protected get bothClosed(): boolean {
    return SIDES.every((side) => this.ends[side].connection === undefined || this.ends[side].closed !== undefined);
  }

  /** Every machine with a timer, and how to ring it. */
  protected abstract timers(): Iterable<{ pollTimeout(): Instant | undefined; handleTimeout(now: Instant): void }>;
  protected abstract nextDeliveryAt(): Instant | undefined;
  protected abstract deliver(): void;
  /** Takes what the machines have to send and to say, until they have no more. */
  protected abstract drain(): void;
  protected abstract stall(end: SimulatedEnd<C>): void;
  protected abstract resume(end: SimulatedEnd<C>): void;
  /** Hands over what came while the process was suspended. */
  protected abstract wake(end: SimulatedEnd<C>): void;
  /** Connections of this side that have not ended, handshakes included. */
  protected abstract liveConnections(side: Side): number;

  protected schedule(afterMs: number, run: () => void): void {
    const at = addMs(this.now, afterMs);
    const before = this.#tasks.findLastIndex((task) => task.at <= at);
    this.#tasks.splice(before + 1, 0, { at, run });
  }

  protected scheduleProgram({ steps }: Program): void {
    for (const { at, side, action } of steps) this.schedule(at, () => this.act({ side, action }));
  }

  /** Lets an application act, where its connection's state allows. */
  protected act({ side, action }: Pick<Step, "side" | "action">): void {
    const end = this.ends[side];
    const { connection } = end;
    if (connection === undefined || !end.usable || end.suspended) return;
    this.#perform(connection, end, action);
    this.drain();
  }

  /** Hands a connection's events to their end, and counts them: more than a few after one input would pile up somewhere. */
  protected hear(end: SimulatedEnd<C>, connection: Connection, answer: (event: ConnectionEvent) => void): void {
    let count = 0;
    for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
      if (++count > MAX_EVENTS_PER_INPUT) assert.fail(`${end.side}: more than ${count} events after one input`);
      answer(event);
    }
  }

  /** What must hold of memory after every event: few epochs' keys while a session lives, none of anything once it is over. */
  protected checkMemory(): void {
    for (const side of SIDES) {
      const { epochsAlive, alive } = this.wipes[side];
      const live = this.liveConnections(side);
      // All but the client's own hold the keys of their handshake at most.
      if (epochsAlive > MAX_LIVE_EPOCHS + Math.max(0, live - 1)) {
        assert.fail(`${side}: ${epochsAlive} epochs' keys at once (${this.describe()})`);
      }
      if (live === 0 && alive.length > 0) assert.fail(`${side}: ${alive} outlive their session`);
    }
  }

  /** Runs what was scheduled, to the last. */
  protected runTasks(): void {
    while (this.#tasks.length > 0) this.#step();
  }

  /** Lets time pass until `done`; fails when that takes longer than `limitMs`. */
  protected until(what: string, limitMs: number, done: () => boolean): void {
    const limit = addMs(this.now, limitMs);
    this.drain();
    while (!done()) {
      const next = this.#nextAt();
      if (next === undefined || next > limit) assert.fail(`not within ${limitMs} ms: ${what} (${this.describe()})`);
      this.#step();
    }
  }

  protected pass(milliseconds: number): void {
    const end = addMs(this.now, milliseconds);
    for (let next = this.#nextAt(); next !== undefined && next <= end; next = this.#nextAt()) this.#step();
    this.now = end;
    this.#roundsNow = 0;
  }

  /** A message each way tells which epoch each end sends under: it must be the same, or the next REKEY has no common base. */
  protected assertSameEpoch(): void {
    for (const side of SIDES) this.act({ side, action: { type: "send", message: this.random.bytes(8) } });
    this.until("a message each way, all else being quiet", 5_000, () => this.allDelivered);
    const [ours, theirs] = SIDES.map((side) => this.ends[side].epochs.lastSealed);
    assert.equal(ours, theirs, `the two ends send under different epochs (${this.describe()})`);
  }

  /** Each end in turn gets a new epoch: so the last one left a common base. */
  protected assertRekeyWorks(side: Side): void {
    const before = SIDES.map((one) => this.ends[one].rekeys);
    const epoch = this.ends[side].epochs.lastSealed;
    this.act({ side, action: { type: "rekey" } });
    this.until(`a rekey by the ${side} on a quiet line`, 15_000, () =>
      SIDES.every((one, i) => this.ends[one].rekeys > (before[i] as number)),
    );
    this.assertSameEpoch();
    assert.notEqual(this.ends[side].epochs.lastSealed, epoch, "the rekey changed no key");
  }

  protected assertPingWorks(side: Side, limitMs = 5_000): void {
    const end = this.ends[side];
    const before = end.pongs;
    this.act({ side, action: { type: "ping" } });
    this.until(`a PONG for the ${side} on a quiet line`, limitMs, () => end.pongs > before);
  }

  /** Closes from one side, and sees both end. */
  protected assertCloseWorks(side: Side): void {
    this.act({ side, action: { type: "close" } });
    this.until(`the end of both after ${side} closed on a quiet line`, 5_000, () => this.bothClosed);
    assert.equal(this.ends[side].closed?.code, "closed-locally");
    assert.equal(this.ends[other(side)].closed?.code, "closed-by-peer");
  }

  /** Everything sent is at the other end. */
  protected get allDelivered(): boolean {
    return SIDES.every((side) => {
      const { sent, delivered, acknowledged } = this.ends[side].outgoing;
      return delivered === sent && (!this.#options.accounts || acknowledged === sent);
    });
  }

  /** For failures: where both ends stand. */
  protected describe(): string {
    return SIDES.map((side) => {
      const { connection, closed, rekeys, outgoing } = this.ends[side];
      const { sent, delivered, acknowledged } = outgoing;
      return `${side} ${closed?.code ?? connection?.state ?? "absent"}, ${sent} sent, ${delivered} delivered, ${acknowledged} acknowledged, ${rekeys} rekeys`;
    }).join("; ");
  }

  #perform(connection: C, end: SimulatedEnd<C>, action: Action): void {
    switch (action.type) {
      case "send":
        end.outgoing.noteSent(this.#options.send(connection, action.message, this.now), action.message);
        break;
      case "ping":
        connection.ping(this.now);
        break;
      case "rekey":
        connection.rekey(this.now);
        break;
      case "stall":
        if (end.stalled) break;
        this.stall(end);
        this.schedule(action.ms, () => this.#resumeWhenAwake(end));
        break;
      case "suspend":
        end.suspended = true;
        this.schedule(action.ms, () => {
          end.suspended = false;
          this.wake(end);
        });
        break;
      case "close":
        this.#options.close(connection, this.now);
        break;
      case "abort":
        connection.abort();
        break;
      default:
        action satisfies never;
    }
  }

  #acceptLater(end: SimulatedEnd<C>, acceptance: SeededRandom | undefined): void {
    if (acceptance === undefined) return;
    const { incoming } = end;
    incoming.accepted = 0;
    end.onDelivered = (count) => this.schedule(acceptance.pick(ACCEPTING_MS), () => this.#acceptWhenAwake(end, count));
  }

  #acceptWhenAwake(end: SimulatedEnd<C>, count: number): void {
    if (end.suspended) return this.schedule(RESUME_RETRY_MS, () => this.#acceptWhenAwake(end, count));
    if (count <= (end.incoming.accepted ?? 0)) return;
    end.incoming.accepted = count;
    end.connection?.acceptMessages(count, this.now);
    this.drain();
  }

  #resumeWhenAwake(end: SimulatedEnd<C>): void {
    if (end.suspended) this.schedule(RESUME_RETRY_MS, () => this.#resumeWhenAwake(end));
    else this.resume(end);
  }

  #nextAt(): Instant | undefined {
    let next = earliest(this.#tasks[0]?.at, this.nextDeliveryAt());
    for (const timer of this.timers()) next = earliest(next, timer.pollTimeout());
    return next;
  }

  #step(): void {
    const next = this.#nextAt() as Instant;
    this.#roundsNow = next > this.now ? 0 : this.#roundsNow + 1;
    if (this.#roundsNow >= MAX_ROUNDS_AT_ONE_MOMENT) assert.fail(`no end of work at one moment (${this.describe()})`);
    if (++this.#steps > MAX_STEPS) assert.fail(`no end of work (${this.describe()})`);
    if (next > this.now) this.now = next;
    while (this.#tasks[0] !== undefined && this.#tasks[0].at <= this.now) this.#tasks.shift()?.run();
    this.deliver();
    for (const timer of this.timers()) {
      for (let calls = 0; (timer.pollTimeout() ?? Number.POSITIVE_INFINITY) <= this.now; calls++) {
        if (calls === MAX_TIMEOUT_CALLS) assert.fail(`handleTimeout() leaves what is due undone (${this.describe()})`);
        timer.handleTimeout(this.now);
      }
    }
    this.drain();
  }
}
