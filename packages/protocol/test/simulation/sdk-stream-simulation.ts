import assert from "node:assert/strict";
import {
  type Direction,
  NonceLedger,
  type SdkEvent,
  SdkTcpPeer,
  type SeededRandom,
  StreamLink,
  toyCrypto,
} from "@usmp/testkit";
import type { ConnectionEvent } from "../../src/connection/events.ts";
import type { StreamConnection } from "../../src/connection/stream.ts";
import { StreamClient } from "../../src/connection/stream-client.ts";
import { StreamServer } from "../../src/connection/stream-server.ts";
import { MAX_MESSAGE_LENGTH } from "../../src/constants.ts";
import type { Side } from "../../src/crypto/provider.ts";
import { addMs, earliest, type Instant } from "../../src/time.ts";
import { FrameSlab } from "../../src/wire/output.ts";
import { clientConfig, DEVICE_ID, START, serverConfig, testPsk } from "../support/fixtures.ts";
import { type WipeLedger, wipeLedger } from "../support/wipe-ledger.ts";
import { MAX_STEPS } from "./bounds.ts";
import type { Outcome } from "./schedules.ts";

const PROGRAM_MS = 15_000;
const SETTLING_MS = 5_000;
/** Our idle time twice over. */
const ENDING_MS = 130_000;

/** One schedule of one end of ours and one of the Python SDK's, as the model has it, on TCP. */
export class SdkStreamSimulation {
  readonly #random: SeededRandom;
  readonly #link: StreamLink;
  readonly #ledger = new NonceLedger();
  readonly #wipes: WipeLedger;
  readonly #ours: StreamConnection;
  readonly #sdk: SdkTcpPeer;
  readonly #outward: Direction;
  readonly #inward: Direction;
  readonly #tasks: { readonly at: Instant; readonly run: () => void }[] = [];
  readonly #sent: { readonly ours: Uint8Array[]; readonly theirs: Uint8Array[] } = { ours: [], theirs: [] };
  readonly #delivered = { ours: 0, theirs: 0 };
  /** F3, F4, F5: a REKEY of the SDK's may end the session, when something was on its way. */
  readonly #rekeys: boolean;
  #now: Instant = START;
  #established = false;
  #closed = false;
  #ended = new Set<Direction>();
  #steps = 0;

  constructor(random: SeededRandom, role: Side) {
    this.#random = random;
    this.#rekeys = random.chance(0.3);
    this.#outward = role === "client" ? "client-to-server" : "server-to-client";
    this.#inward = role === "client" ? "server-to-client" : "client-to-server";
    const conditions = {
      chunks: random.pick(["written", "written", "random", "random", "random", "bytes"] as const),
      latencyMs: random.int(80),
      jitterMs: random.pick([0, 50]),
    };
    this.#link = new StreamLink({ random: random.fork(), conditions, tap: this.#ledger.observeStream });
    const crypto = toyCrypto(random.fork());
    this.#wipes = wipeLedger(crypto);
    const ours = this.#ledger.watch(this.#wipes.provider);
    const slab = { slab: new FrameSlab() };
    this.#ours =
      role === "client"
        ? new StreamClient(clientConfig({ crypto: ours }), slab, START)
        : new StreamServer(serverConfig({ crypto: ours }), slab, START);
    const deviceId = role === "server" ? DEVICE_ID : undefined;
    this.#sdk = new SdkTcpPeer({ crypto: this.#ledger.watch(crypto), psk: testPsk(), deviceId }, START);
  }

  get sealedFrames(): number {
    return this.#ledger.sealedFrames;
  }

  run(): Outcome {
    this.#drain();
    this.#runUntil(addMs(this.#now, PROGRAM_MS), () => this.#established && this.#sdk.connected);
    assert(this.#established && this.#sdk.connected, "no session came about on a good line");
    this.#scheduleProgram();
    this.#runUntil(addMs(this.#now, PROGRAM_MS + SETTLING_MS), () => false);
    const lasted = !this.#closed && this.#sdk.connected;
    if (!this.#rekeys) {
      assert(lasted, "nobody closed, and it ended");
      assert.equal(this.#delivered.ours, this.#sent.theirs.length, "not all of the SDK's messages arrived");
      assert.equal(this.#delivered.theirs, this.#sent.ours.length, "not all of our messages arrived");
    }
    if (this.#random.chance(0.5)) this.#ours.close(this.#now);
    else if (this.#sdk.connected) this.#sdk.bye(this.#now);
    this.#drain();
    this.#runUntil(addMs(this.#now, ENDING_MS), () => this.#closed);
    if (!this.#closed) this.#ours.close(this.#now);
    this.#drain();
    assert.deepEqual(this.#wipes.alive, [], "keys outlive the session");
    return lasted ? "lasted" : "ended";
  }

  #scheduleProgram(): void {
    const random = this.#random;
    const at = (run: () => void): void => {
      this.#tasks.push({ at: addMs(this.#now, random.int(PROGRAM_MS)), run });
    };
    for (let i = random.int(12); i > 0; i--) at(() => this.#sendOurs());
    for (let i = random.int(12); i > 0; i--) at(() => this.#sendTheirs());
    for (let i = random.int(3); i > 0; i--) at(() => this.#ours.state === "established" && this.#ours.ping(this.#now));
    for (let i = random.int(3); i > 0; i--) at(() => this.#sdk.connected && this.#sdk.ping(this.#now));
    if (this.#rekeys) at(() => this.#sdk.connected && this.#sdk.rekey(this.#now));
    this.#tasks.sort((a, b) => a.at - b.at);
  }

  #sendOurs(): void {
    if (this.#ours.state !== "established") return;
    const message = this.#random.bytes(this.#random.int(MAX_MESSAGE_LENGTH + 1));
    this.#ours.send(message, this.#now);
    this.#sent.ours.push(message);
  }

  #sendTheirs(): void {
    if (!this.#sdk.connected) return;
    const message = this.#random.bytes(this.#random.int(MAX_MESSAGE_LENGTH + 1));
    this.#sdk.send(message, this.#now);
    this.#sent.theirs.push(message);
  }

  #runUntil(end: Instant, done: () => boolean): void {
    while (!done()) {
      let next = earliest(this.#tasks[0]?.at, this.#link.nextDeliveryAt());
      for (const timer of [this.#ours, this.#sdk]) next = earliest(next, timer.pollTimeout());
      if (next === undefined || next > end) break;
      if (++this.#steps > MAX_STEPS) assert.fail("no end of work");
      if (next > this.#now) this.#now = next;
      this.#step();
    }
    if (!done()) this.#now = end;
  }

  #step(): void {
    while (this.#tasks[0] !== undefined && this.#tasks[0].at <= this.#now) {
      this.#tasks.shift()?.run();
      this.#drain();
    }
    for (const { direction, bytes, ended } of this.#link.deliver(this.#now)) {
      if (direction === this.#outward) {
        if (ended) this.#sdk.handleEnd(this.#now);
        else this.#sdk.handleBytes(bytes, this.#now);
      } else if (ended) this.#ours.handleEnd();
      else this.#ours.handleBytes(bytes, this.#now);
      this.#drain();
    }
    for (const timer of [this.#ours, this.#sdk]) {
      if ((timer.pollTimeout() ?? Number.POSITIVE_INFINITY) <= this.#now) timer.handleTimeout(this.#now);
    }
    this.#drain();
  }

  #drain(): void {
    for (let event = this.#ours.pollEvent(); event !== undefined; event = this.#ours.pollEvent()) this.#hear(event);
    for (let event = this.#sdk.pollEvent(); event !== undefined; event = this.#sdk.pollEvent()) this.#hearTheirs(event);
    for (let next = this.#ours.pollTransmit(); next !== undefined; next = this.#ours.pollTransmit()) {
      if (!this.#ended.has(this.#outward)) this.#link.send(this.#outward, next, this.#now);
    }
    for (let next = this.#sdk.pollTransmit(); next !== undefined; next = this.#sdk.pollTransmit()) {
      if (!this.#ended.has(this.#inward)) this.#link.send(this.#inward, next, this.#now);
    }
    if (this.#closed) this.#end(this.#outward);
    if (this.#sdk.ended) this.#end(this.#inward);
  }

  #end(direction: Direction): void {
    if (this.#ended.has(direction)) return;
    this.#ended.add(direction);
    this.#link.end(direction, this.#now);
  }

  #hear(event: ConnectionEvent): void {
    if (event.type === "keys-needed") (this.#ours as StreamServer).provideKeys([testPsk()], this.#now);
    if (event.type === "established") this.#established = true;
    if (event.type === "closed") this.#closed = true;
    if (event.type === "message") this.#note(event.data, this.#sent.theirs[this.#delivered.ours++], "us");
  }

  #hearTheirs(event: SdkEvent): void {
    if (event.type === "message") this.#note(event.data, this.#sent.ours[this.#delivered.theirs++], "the SDK");
  }

  #note(data: Uint8Array, expected: Uint8Array | undefined, who: string): void {
    if (expected === undefined || Buffer.compare(data, expected) !== 0) {
      assert.fail(`a message of ${data.length} bytes reached ${who}, other than the next that was sent`);
    }
  }
}
