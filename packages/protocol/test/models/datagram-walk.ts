import assert from "node:assert/strict";
import { defaultCrypto } from "@usmp/crypto";
import { DEFAULT_REKEYING, DEFAULT_TIMING } from "../../src/connection/config.ts";
import type { DatagramConnection } from "../../src/connection/datagram.ts";
import type { Address } from "../../src/connection/events.ts";
import { MAX_FRAGMENT_LENGTH } from "../../src/constants.ts";
import { addMs, type Instant } from "../../src/time.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { decodeUtack, looksLikeUtack } from "../../src/wire/utack.ts";
import { DatagramPair } from "../support/datagram-pair.ts";
import { CLIENT_ADDRESS, datagramsFrom, SERVER_ADDRESS } from "../support/datagrams.ts";
import { ascii } from "../support/hex.ts";
import { seqOf, typeOf } from "../support/raw-peer.ts";
import { eventsFrom } from "../support/streams.ts";
import { EpochNames } from "./epoch-names.ts";
import { type EndIndex, stepsWithPath, type TraceRun, type TraceStep } from "./spin.ts";

/** No keepalive and no idle end: the models have neither. An alarm beyond this is none of theirs. */
const FAR_MS = 1e9;
/** No key gets old in a run: it rekeys where the model does. */
const REKEYING = { ...DEFAULT_REKEYING, afterMs: 4 * FAR_MS };
const TIMING = { ...DEFAULT_TIMING, keepaliveMs: FAR_MS, idleTimeoutMs: 2 * FAR_MS };

/** Alarms in a row that may find nothing to do. */
const MAX_IDLE_ALARMS = 3;

interface End {
  readonly name: "client" | "server";
  readonly machine: DatagramConnection;
  readonly epochs: EpochNames;
  /** Where its peer is. */
  readonly peer: Address;
  /** What it has sent and the network still carries. */
  readonly net: Uint8Array[];
  /** Numbers of PINGs beside a REKEY that stays unanswered, which the model has not: the network loses them. */
  readonly probes: number[];
  /** What it has sent in this step. */
  readonly ready: Uint8Array[];
  /** Its own clock: the two ends of the model agree on the order of events, not on time. */
  now: Instant;
  delivered: number;
  acknowledged: number;
  switches: number;
  offered: number;
}

/**
 * Drives two real connections along one run of docs/models/session/datagram-rekey.pml, and compares them with the model after each step: what
 * was sent and under which epoch, what is readable, who sends under what, what is outstanding, and what the applications got.
 */
export class DatagramWalk {
  readonly #ends: readonly [End, End];
  readonly #firstSeq: number;
  readonly #framesPerMessage: 1 | 2;
  #kept: Uint8Array | undefined;
  #left = false;

  /** `firstSeq`: the number that stands for the model's 0, at least 1. With FRAGMENTS the model's messages are frames, two to one of ours. */
  constructor(firstSeq: number, framesPerMessage: 1 | 2 = 1) {
    this.#firstSeq = firstSeq;
    this.#framesPerMessage = framesPerMessage;
    const names = {
      client: new EpochNames(defaultCrypto(), "client"),
      server: new EpochNames(defaultCrypto(), "server"),
    };
    const pair = new DatagramPair({
      client: { crypto: names.client.provider, timing: TIMING, rekeying: REKEYING },
      server: { crypto: names.server.provider, timing: TIMING, rekeying: REKEYING },
      firstSeq: firstSeq - 1,
    }).establish();
    // A first round trip of no time at all: every retransmission timeout is then the shortest, and far below a quiet time.
    for (const machine of [pair.client, pair.server]) machine.send(ascii("first"), pair.now);
    pair.pump();
    pair.takeEvents();
    const end = (name: "client" | "server", peer: Address): End => ({
      name,
      machine: pair[name],
      epochs: names[name],
      peer,
      net: [],
      probes: [],
      ready: [],
      now: pair.now,
      delivered: 0,
      acknowledged: 0,
      switches: 0,
      offered: 0,
    });
    this.#ends = [end("client", SERVER_ADDRESS), end("server", CLIENT_ADDRESS)];
  }

  /**
   * Throws an error with the path at the first step after which code and model differ. Answers false when it left the run early: the code's
   * clock brought the end of an old epoch that nothing needs any more, which the model would have kept a little longer.
   */
  follow(run: TraceRun): boolean {
    let before: TraceStep | undefined;
    let left = false;
    stepsWithPath(run, (step) => {
      if (left) return;
      this.#take(step, before);
      left = this.#left;
      if (step.states.length > 0) before = step;
    });
    return !left;
  }

  #take(step: TraceStep, before: TraceStep | undefined): void {
    const end = this.#ends[step.end];
    this.#act(step, end);
    if (step.name === "resend") this.#ringUntilSent(end, before?.states[step.end]);
    if (this.#left) return;
    this.#compareSent(step, end);
    this.#hear(end, this.#ends[1 - step.end] as End);
    for (const [index, state] of step.states.entries()) this.#compareState(this.#ends[index as EndIndex], state);
  }

  #act(step: TraceStep, end: End): void {
    switch (step.name) {
      case "message":
        end.machine.send(ascii(this.#text(end, ++end.offered)), end.now);
        return;
      case "rekey":
        return end.machine.rekey(end.now);
      case "datagram": {
        const bytes = (this.#ends[1 - step.end] as End).net.shift();
        assert(bytes !== undefined, "the network has nothing for it");
        return end.machine.handleDatagram(bytes, end.peer, end.now);
      }
      case "copy":
        assert(this.#kept !== undefined, "the network has kept nothing");
        end.net.push(this.#kept);
        this.#kept = undefined;
        return;
      case "unhold":
        return ring(end);
      case "retire":
        // An alarm may find that something still needs the old epoch, and try again.
        for (
          let tries = 0;
          tries < MAX_IDLE_ALARMS && end.epochs.alive.length > (step.states[step.end]?.readable.length ?? 0);
          tries++
        )
          ring(end);
        return;
      case "start":
      case "resend":
      case "pause":
      case "finish":
        return;
      default:
        assert.fail(`the walk knows no step "${step.name}"`);
    }
  }

  #compareSent(step: TraceStep, end: End): void {
    const sent = this.#withoutProbes(end);
    const other = this.#ends[1 - step.end] as End;
    const expected = step.sent.map(([type, epoch, seq, , acks]) =>
      type === "UTACK" ? `UTACK of ${acks} ${seq} under ${epoch}` : `${type} ${seq} under ${epoch}`,
    );
    const words = sent.map((data) => this.#describe(data, end, other));
    assert.deepEqual(words, expected, "what was sent");
    for (const [index, data] of sent.entries()) {
      const fate = step.sent[index]?.at(-1);
      if (fate === "once" || fate === "copied") end.net.push(data);
      if (fate === "late" || fate === "copied") this.#kept = data;
    }
  }

  /** An alarm may find that something still needs an old epoch and do nothing: the one that sends again comes behind it. */
  #ringUntilSent(end: End, before: TraceStep["states"][number] | undefined): void {
    for (let rings = 0; rings < MAX_IDLE_ALARMS && end.ready.length === 0; rings++) {
      ring(end);
      end.ready.push(...datagramsFrom(end.machine).map(({ data }) => data));
    }
    const forgettable = before?.readable.slice(0, Number(before.words[5])) ?? [];
    const kept = before?.readable.slice(forgettable.length) ?? [];
    const forgot = end.epochs.alive.length < (before?.readable.length ?? 0);
    this.#left = forgot && kept.every((epoch) => end.epochs.alive.includes(epoch));
  }

  #withoutProbes(end: End): Uint8Array[] {
    const all = [...end.ready.splice(0), ...datagramsFrom(end.machine).map(({ data }) => data)];
    const isProbe = (data: Uint8Array): boolean => !looksLikeUtack(data) && typeOf(data) === "PING";
    end.probes.push(...all.filter(isProbe).map(seqOf));
    return all.filter((data) => !isProbe(data));
  }

  #describe(data: Uint8Array, end: End, other: End): string {
    if (!looksLikeUtack(data)) {
      return `${frameWord(typeOf(data))} ${this.#modelSeq(seqOf(data), end)} under ${end.epochs.sealedUnder(data)}`;
    }
    const utack = decodeUtack(data);
    assert(utack?.mac !== undefined, "a UTACK without a MAC");
    const type = Object.entries(FrameType).find(([, code]) => code === utack.type)?.[0];
    return `UTACK of ${frameWord(type)} ${this.#modelSeq(utack.seq, other)} under ${end.epochs.acknowledgedUnder(utack.mac)}`;
  }

  #text(end: End, number: number): string {
    return `${end.name} ${number}`.padEnd(MAX_FRAGMENT_LENGTH * (this.#framesPerMessage - 1) + 16);
  }

  #modelSeq(seq: number, sender: End): number {
    return seq - this.#firstSeq - sender.probes.filter((probe) => probe < seq).length;
  }

  #hear(end: End, other: End): void {
    for (const event of eventsFrom(end.machine)) {
      if (event.type === "message") {
        const text = Buffer.from(event.data).toString("latin1");
        assert.equal(text, this.#text(other, ++other.delivered), "the message that arrived");
      } else if (event.type === "acknowledged") end.acknowledged++;
      else if (event.type === "rekeyed") end.switches++;
      else assert.fail(`an event that the model has not: ${event.type}`);
    }
  }

  #compareState(end: End, { words, readable }: TraceStep["states"][number]): void {
    const [txe, switches, waiting, hold, owes, , delivered, acked] = words;
    const messages = (frames: string | undefined): number => Math.floor(Number(frames) / this.#framesPerMessage);
    const numbers = { switches: Number(switches), delivered: messages(delivered), acknowledged: messages(acked) };
    assert.deepEqual(
      end.epochs.alive,
      [...readable].sort((a, b) => a - b),
      `epochs that the ${end.name} reads`,
    );
    assert(end.epochs.alive.includes(Number(txe)), `the ${end.name} sends under epoch ${txe}`);
    assert.deepEqual(
      { switches: end.switches, delivered: end.delivered, acknowledged: end.acknowledged },
      numbers,
      `the ${end.name}'s application`,
    );
    assert.equal(end.machine.epoch, numbers.switches, `the ${end.name}'s epoch`);
    const waits = waiting !== "NONE" || (hold === "1" && owes === "0");
    const due = end.machine.pollTimeout();
    const soon = due !== undefined && due < addMs(end.now, FAR_MS / 2);
    if (waits) assert(soon, `the ${end.name} waits for an alarm`);
    else if (readable.length === 1) assert(!soon, `the ${end.name} waits for no alarm`);
  }
}

/** The model has one type for all frames of a message. */
function frameWord(type: string | undefined): string | undefined {
  return type === "DATA_FRAG" ? "DATA" : type;
}

/** Lets this end's clock come to its next alarm. */
function ring(end: End): void {
  const due = end.machine.pollTimeout();
  assert(due !== undefined, "no alarm is set");
  if (due > end.now) end.now = due;
  end.machine.handleTimeout(end.now);
}
