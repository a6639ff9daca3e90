import assert from "node:assert/strict";
import { defaultCrypto } from "@usmp/crypto";
import { DEFAULT_REKEYING, DEFAULT_TIMING } from "../../src/connection/config.ts";
import type { StreamConnection } from "../../src/connection/stream.ts";
import { addMs, type Instant } from "../../src/time.ts";
import { START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";
import { seqOf, typeOf } from "../support/raw-peer.ts";
import { eventsFrom, framesFrom, StreamPair } from "../support/streams.ts";
import { EpochNames } from "./epoch-names.ts";
import { stepsWithPath, type TraceRun, type TraceStep } from "./spin.ts";

/** More than the pace of our own REKEYs: the model has none. */
const STEP_MS = 1_100;
const REKEYING = { ...DEFAULT_REKEYING, afterMs: 4e9 };
const TIMING = { ...DEFAULT_TIMING, keepaliveMs: 1e9, idleTimeoutMs: 2e9 };

interface End {
  readonly name: "client" | "server";
  readonly machine: StreamConnection;
  readonly epochs: EpochNames;
  /** What it has sent and has not arrived. */
  readonly net: Uint8Array[];
  offered: number;
  delivered: number;
  switches: number;
}

/** Drives two real connections along one run of docs/models/session/stream-rekey.pml and compares them with the model after each step. */
export class StreamWalk {
  readonly #ends: readonly [End, End];
  #now: Instant = START;

  constructor() {
    const names = {
      client: new EpochNames(defaultCrypto(), "client"),
      server: new EpochNames(defaultCrypto(), "server"),
    };
    const pair = new StreamPair({
      client: { crypto: names.client.provider, timing: TIMING, rekeying: REKEYING },
      server: { crypto: names.server.provider, timing: TIMING, rekeying: REKEYING },
    });
    const end = (name: "client" | "server"): End => {
      eventsFrom(pair[name]);
      return { name, machine: pair[name], epochs: names[name], net: [], offered: 0, delivered: 0, switches: 0 };
    };
    this.#ends = [end("client"), end("server")];
  }

  /** Throws an error with the path at the first step after which code and model differ. */
  follow(run: TraceRun): void {
    stepsWithPath(run, (step) => this.#take(step));
  }

  #take(step: TraceStep): void {
    const end = this.#ends[step.end];
    const other = this.#ends[1 - step.end] as End;
    this.#now = addMs(this.#now, STEP_MS);
    this.#act(step, end, other);
    const sent = framesFrom(end.machine);
    const words = sent.map((frame) => `${typeOf(frame)} ${seqOf(frame)} under ${end.epochs.sealedUnder(frame)}`);
    assert.deepEqual(
      words,
      step.sent.map(([type, epoch, seq]) => `${type} ${seq} under ${epoch}`),
      "what was sent",
    );
    end.net.push(...sent);
    hear(end, other);
    for (const [index, state] of step.states.entries()) compareState(this.#ends[index as 0 | 1], state);
  }

  #act(step: TraceStep, end: End, other: End): void {
    switch (step.name) {
      case "message":
        end.machine.send(ascii(`${end.name} ${++end.offered}`), this.#now);
        return;
      case "rekey":
        return end.machine.rekey(this.#now);
      case "frame": {
        const frame = other.net.shift();
        assert(frame !== undefined, "nothing is on its way to it");
        return end.machine.handleBytes(frame, this.#now);
      }
      case "start":
      case "finish":
        return;
      default:
        assert.fail(`the walk knows no step "${step.name}"`);
    }
  }
}

function hear(end: End, other: End): void {
  for (const event of eventsFrom(end.machine)) {
    if (event.type === "message") {
      const text = Buffer.from(event.data).toString("latin1");
      assert.equal(text, `${other.name} ${++other.delivered}`, "the message that arrived");
    } else if (event.type === "rekeyed") end.switches++;
    else if (event.type !== "proven") assert.fail(`an event that the model has not: ${JSON.stringify(event)}`);
  }
}

function compareState(end: End, { words, readable }: TraceStep["states"][number]): void {
  const [txe, switches, delivered] = words.map(Number) as [number, number, number];
  assert.deepEqual(
    end.epochs.alive,
    [...readable].sort((a, b) => a - b),
    `epochs that the ${end.name} reads`,
  );
  assert(end.epochs.alive.includes(txe), `the ${end.name} sends under epoch ${txe}`);
  assert.deepEqual({ switches: end.switches, delivered: end.delivered }, { switches, delivered }, `the ${end.name}`);
  assert.equal(end.machine.epoch, switches, `the ${end.name}'s epoch`);
}
