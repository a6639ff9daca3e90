import assert from "node:assert/strict";
import {
  type DatagramConditions,
  DatagramLink,
  NonceLedger,
  type SdkEvent,
  type SdkPeer,
  SdkUdpClient,
  SdkUdpServer,
  type SeededRandom,
  toyCrypto,
} from "@usmp/testkit";
import type { DatagramConnection } from "../../src/connection/datagram.ts";
import { DatagramClient } from "../../src/connection/datagram-client.ts";
import { DatagramEndpoint } from "../../src/connection/endpoint.ts";
import type { Address, ConnectionEvent } from "../../src/connection/events.ts";
import { MAX_FRAGMENT_LENGTH, MAX_MESSAGE_LENGTH } from "../../src/constants.ts";
import type { CryptoProvider, Side } from "../../src/crypto/provider.ts";
import { Gate } from "../../src/fairness/gate.ts";
import { parseLimits } from "../../src/fairness/limits.ts";
import { addMs, earliest, type Instant } from "../../src/time.ts";
import { clientConfig, DEVICE_ID, START, serverConfig, testPsk } from "../support/fixtures.ts";
import { type WipeLedger, wipeLedger } from "../support/wipe-ledger.ts";
import { MAX_STEPS } from "./bounds.ts";
import type { Outcome } from "./schedules.ts";
import { type Excuses, FromSdkOracle, ToSdkOracle } from "./sdk-oracle.ts";

const CLIENT: Address = { key: "client" };
const SERVER: Address = { key: "server" };
const HANDSHAKES_MS = 30_000;
const PROGRAM_MS = 20_000;
/** Our idle time, and what may bring it once more. */
const ENDING_MS = 240_000;

/** One schedule of one end of ours and one of the Python SDK's, as the model has it, on UDP. */
export class SdkSimulation {
  readonly #random: SeededRandom;
  readonly #role: Side;
  readonly #link: DatagramLink;
  readonly #ledger = new NonceLedger();
  readonly #wipes: WipeLedger;
  readonly #client: DatagramClient | undefined;
  readonly #endpoint: DatagramEndpoint | undefined;
  readonly #sdkClient: SdkUdpClient | undefined;
  readonly #sdkServer: SdkUdpServer | undefined;
  readonly #fromSdk = new FromSdkOracle();
  readonly #excuses: Excuses;
  readonly #toSdk: ToSdkOracle;
  readonly #calls = new Map<number, number>();
  readonly #tasks: { readonly at: Instant; readonly run: () => void }[] = [];
  readonly #longMessages: boolean;
  readonly #rekeys: boolean;
  readonly #pauses: boolean;
  #ours: DatagramConnection | undefined;
  #connections = new Set<DatagramConnection>();
  #sdk: SdkPeer | undefined;
  #now: Instant = START;
  #established = false;
  #closed = false;
  #steps = 0;
  /** Acknowledged messages that the SDK lost by its flaws. */
  lost = 0;

  /** Messages of the SDK's that it ran into one it had given up (F22). */
  get spliced(): number {
    return this.#fromSdk.spliced;
  }

  constructor(random: SeededRandom, role: Side) {
    this.#random = random;
    this.#role = role;
    const conditions = drawConditions(random);
    this.#longMessages = random.chance(0.4);
    this.#rekeys = random.chance(0.3);
    this.#pauses = random.chance(0.3);
    this.#excuses = this.#drawExcuses(conditions);
    this.#toSdk = new ToSdkOracle(this.#excuses);
    this.#link = new DatagramLink({ random: random.fork(), conditions, tap: this.#ledger.observe });
    const crypto = toyCrypto(random.fork());
    this.#wipes = wipeLedger(crypto);
    const ours = this.#ledger.watch(this.#wipes.provider);
    const theirs = this.#ledger.watch(crypto);
    if (role === "client") {
      this.#client = new DatagramClient(clientConfig({ crypto: ours }), { peer: SERVER }, this.#now);
      this.#ours = this.#client;
      this.#connections.add(this.#client);
      this.#sdkServer = new SdkUdpServer({ crypto: theirs, psk: testPsk() });
    } else {
      this.#endpoint = new DatagramEndpoint(endpointConfig(ours), this.#now);
      this.#sdkClient = new SdkUdpClient({ crypto: theirs, psk: testPsk(), deviceId: DEVICE_ID }, this.#now);
      this.#sdk = this.#sdkClient;
    }
  }

  get sealedFrames(): number {
    return this.#ledger.sealedFrames;
  }

  run(): Outcome {
    this.#drain();
    this.#runUntil(addMs(this.#now, HANDSHAKES_MS), () => this.#established && this.#sdk?.connected === true);
    const connected = this.#established && this.#sdk?.connected === true;
    if (connected) {
      this.#scheduleProgram();
      this.#runUntil(addMs(this.#now, PROGRAM_MS), () => false);
      this.#link.conditions = { "client-to-server": {}, "server-to-client": {} };
      this.#runUntil(addMs(this.#now, PROGRAM_MS), () => false);
    }
    const lasted = connected && !this.#closed && this.#sdk?.connected === true;
    for (const connection of this.#connections) connection.close(this.#now);
    this.#drain();
    this.#runUntil(addMs(this.#now, ENDING_MS), () => false);
    assert.equal(this.#connections.size, 0, "a connection of ours has no end");
    assert.deepEqual(this.#wipes.alive, [], "keys outlive the session");
    this.lost = this.#toSdk.lost();
    return lasted ? "lasted" : connected ? "ended" : "failed";
  }

  /** Where the SDK's flaws cannot bite, nothing that it acknowledged may be lost: a clean line, no REKEY, a reader that never rests. */
  #drawExcuses({ damage = 0 }: DatagramConditions): Excuses {
    return {
      // F6: damage; F1, F2, F5: rekeys; F8, F10: a reader that pauses, or an end with its buffer full.
      losesAcknowledged: damage > 0 || this.#rekeys || this.#pauses || this.#longMessages,
      tails: this.#longMessages,
    };
  }

  #scheduleProgram(): void {
    const random = this.#random;
    const at = (run: () => void): void => this.#schedule(random.int(PROGRAM_MS - 5_000), run);
    for (let i = random.int(12); i > 0; i--) at(() => this.#sendOurs());
    for (let i = random.int(12); i > 0; i--) at(() => this.#sendTheirs());
    for (let i = random.int(3); i > 0; i--) at(() => this.#ours?.state === "established" && this.#ours.ping(this.#now));
    if (random.chance(0.3)) {
      at(() => {
        this.#ours?.pauseReceiving();
        this.#schedule(random.pick([200, 3_000]), () => this.#ours?.resumeReceiving());
      });
    }
    if (this.#rekeys) at(() => this.#sdk?.connected && this.#sdk.rekey(this.#now));
    if (this.#pauses) {
      at(() => {
        this.#sdk?.pauseReading(this.#now);
        this.#schedule(random.pick([200, 3_000]), () => this.#sdk?.resumeReading(this.#now));
      });
    }
    if (random.chance(0.2)) at(() => this.#sdk?.connected && this.#sdk.bye(this.#now));
    if (random.chance(0.2)) at(() => this.#ours?.close(this.#now));
  }

  #sendOurs(): void {
    if (this.#ours?.state !== "established") return;
    const message = this.#drawMessage();
    this.#toSdk.noteSent(this.#ours.send(message, this.#now), message);
  }

  #sendTheirs(): void {
    if (this.#sdk?.connected !== true) return;
    const message = this.#drawMessage();
    const index = this.#fromSdk.noteCall(message);
    this.#calls.set(this.#sdk.send(message, this.#now), index);
  }

  #drawMessage(): Uint8Array {
    const random = this.#random;
    const most = this.#longMessages ? MAX_MESSAGE_LENGTH : MAX_FRAGMENT_LENGTH;
    return random.bytes(random.between(8, random.pick([16, most])));
  }

  #schedule(afterMs: number, run: () => void): void {
    this.#tasks.push({ at: addMs(this.#now, afterMs), run });
    this.#tasks.sort((a, b) => a.at - b.at);
  }

  #runUntil(end: Instant, done: () => boolean): void {
    while (!done()) {
      const next = this.#nextAt();
      if (next === undefined || next > end) break;
      if (++this.#steps > MAX_STEPS) assert.fail("no end of work");
      if (next > this.#now) this.#now = next;
      this.#step();
    }
    if (!done()) this.#now = end;
  }

  #nextAt(): Instant | undefined {
    let next = earliest(this.#tasks[0]?.at, this.#link.nextDeliveryAt());
    for (const timer of this.#timers()) next = earliest(next, timer.pollTimeout());
    return next;
  }

  *#timers(): Generator<{ pollTimeout(): Instant | undefined; handleTimeout(now: Instant): void }> {
    if (this.#endpoint !== undefined) yield this.#endpoint;
    yield* this.#connections;
    if (this.#sdkClient !== undefined) yield this.#sdkClient;
    yield* this.#sdkServer?.peers ?? [];
  }

  #step(): void {
    while (this.#tasks[0] !== undefined && this.#tasks[0].at <= this.#now) {
      this.#tasks.shift()?.run();
      this.#drain();
    }
    for (const { direction, bytes } of this.#link.deliver(this.#now)) {
      this.#receive(direction === "client-to-server" ? "server" : "client", bytes);
      this.#drain();
    }
    for (const timer of this.#timers()) {
      if ((timer.pollTimeout() ?? Number.POSITIVE_INFINITY) <= this.#now) timer.handleTimeout(this.#now);
    }
    this.#drain();
  }

  #receive(side: Side, bytes: Uint8Array): void {
    if (side === "client") {
      this.#client?.handleDatagram(bytes, SERVER, this.#now);
      this.#sdkClient?.handleDatagram(bytes, this.#now);
      return;
    }
    this.#sdkServer?.handleDatagram(bytes, CLIENT, this.#now);
    for (const connection of this.#endpoint?.handleDatagram(bytes, CLIENT, this.#now) ?? []) {
      this.#connections.add(connection);
    }
  }

  #drain(): void {
    const outward = this.#role === "client" ? "client-to-server" : "server-to-client";
    const inward = this.#role === "client" ? "server-to-client" : "client-to-server";
    for (const source of [...this.#connections, this.#endpoint]) {
      for (let next = source?.pollTransmit(); next !== undefined; next = source?.pollTransmit()) {
        this.#link.send(outward, next.data, this.#now);
      }
    }
    for (const connection of this.#connections) this.#hearOurs(connection);
    for (let next = this.#sdkClient?.pollTransmit(); next !== undefined; next = this.#sdkClient?.pollTransmit()) {
      this.#link.send(inward, next, this.#now);
    }
    for (let next = this.#sdkServer?.pollTransmit(); next !== undefined; next = this.#sdkServer?.pollTransmit()) {
      this.#link.send(inward, next.data, this.#now);
    }
    for (const peer of this.#sdkClient === undefined ? (this.#sdkServer?.peers ?? []) : [this.#sdkClient]) {
      for (let event = peer.pollEvent(); event !== undefined; event = peer.pollEvent()) this.#hearTheirs(peer, event);
    }
  }

  #hearOurs(connection: DatagramConnection): void {
    for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
      if (event.type === "keys-needed") this.#provideKeys(connection);
      if (event.type === "established" && !this.#established) {
        this.#established = true;
        this.#ours = connection;
      }
      if (connection === this.#ours) this.#hearSession(event);
      if (event.type === "closed") this.#connections.delete(connection);
    }
  }

  #hearSession(event: ConnectionEvent): void {
    if (event.type === "message") this.#fromSdk.noteDelivered(event.data);
    if (event.type === "acknowledged") this.#toSdk.noteAcknowledged(event.id);
    if (event.type !== "closed") return;
    this.#closed = true;
    this.#toSdk.noteClosed(event.undelivered.unknown, event.undelivered.unsent);
  }

  #provideKeys(connection: DatagramConnection): void {
    (connection as DatagramConnection & { provideKeys(keys: unknown, now: Instant): void }).provideKeys(
      [testPsk()],
      this.#now,
    );
  }

  #hearTheirs(peer: SdkPeer, event: SdkEvent): void {
    if (event.type === "connected") this.#sdk = peer;
    if (event.type === "message") this.#toSdk.noteDelivered(event.data);
    // F10: what waits in its buffer when its session ends is acknowledged, and gone.
    if (event.type === "closed") this.#excuses.losesAcknowledged = true;
    const index = event.type === "done" || event.type === "failed" ? this.#calls.get(event.call) : undefined;
    if (index === undefined) return;
    if (event.type === "done") this.#fromSdk.noteAcknowledged(index);
    else this.#fromSdk.noteGivenUp(index);
  }
}

function endpointConfig(crypto: CryptoProvider) {
  return { ...serverConfig({ crypto }), gate: new Gate(parseLimits({ handshakes: 4 }), START) };
}

function drawConditions(random: SeededRandom): DatagramConditions {
  return {
    latencyMs: random.int(60),
    jitterMs: random.pick([0, 5, 60]),
    drop: random.pick([0, random.fraction() * 0.4]),
    duplicate: random.pick([0, random.fraction() * 0.3]),
    reorder: random.pick([0, random.fraction() * 0.3]),
    damage: random.pick([0, 0, random.fraction() * 0.1]),
  };
}
