import type { SeededRandom } from "@usmp/testkit";
import { MAX_MESSAGE_LENGTH } from "../../src/constants.ts";
import type { Side } from "../../src/crypto/provider.ts";

/** What an application, or the machine that it runs on, does at a moment. */
export type Action =
  | { readonly type: "send"; readonly message: Uint8Array }
  | { readonly type: "ping" }
  | { readonly type: "rekey" }
  /** The application reads nothing for so long. */
  | { readonly type: "stall"; readonly ms: number }
  /** The whole process is suspended for so long: no timer fires, what arrives waits in its socket. */
  | { readonly type: "suspend"; readonly ms: number }
  | { readonly type: "close" }
  | { readonly type: "abort" };

export interface Step {
  /** Milliseconds after the session was established. */
  readonly at: number;
  readonly side: Side;
  readonly action: Action;
}

export interface Program {
  /** In the order of time. */
  readonly steps: readonly Step[];
  /** Nobody closes: whatever the network did, everything must arrive in the end. */
  readonly lasting: boolean;
}

/** Lengths at the borders of frames and messages (spec section 4). */
const BORDER_LENGTHS = [0, 1, 451, 452, 453, 903, 904, 905, 1356, 1357, 1807, MAX_MESSAGE_LENGTH];
/** Within this, two rekeys of the two sides cross on most links. */
const CROSSING_MS = 80;
const SIDES: readonly Side[] = ["client", "server"];

export function drawProgram(random: SeededRandom): Program {
  const durationMs = random.pick([500, 3_000, 15_000, 60_000]);
  const steps: Step[] = [];
  const moment = (): number => random.int(durationMs);
  const add = (side: Side, at: number, action: Action): void => void steps.push({ side, at, action });

  for (const side of SIDES) {
    for (let bursts = random.int(6); bursts > 0; bursts--) {
      const at = moment();
      const gapMs = random.pick([0, 0, 5, 100]);
      for (let i = drawBurst(random); i > 0; i--) add(side, at + i * gapMs, drawMessage(random));
    }
    // Enough to wait in a queue: several frames may be in flight then.
    if (random.chance(0.3)) {
      const at = moment();
      for (let i = random.between(20, 120); i > 0; i--) add(side, at, drawMessage(random));
    }
    for (let pings = random.int(4); pings > 0; pings--) add(side, moment(), { type: "ping" });
    if (random.chance(0.3)) add(side, moment(), { type: "stall", ms: random.pick([50, 1_000, 8_000, 40_000]) });
    if (random.chance(0.1)) add(side, moment(), { type: "suspend", ms: random.pick([300, 3_000, 12_000, 90_000]) });
  }
  for (let rekeys = random.int(5); rekeys > 0; rekeys--) {
    const at = moment();
    const side = random.pick(SIDES);
    add(side, at, { type: "rekey" });
    if (random.chance(0.6)) add(other(side), at + random.int(CROSSING_MS), { type: "rekey" });
  }
  const lasting = random.chance(0.6);
  if (!lasting) {
    for (const side of SIDES) {
      if (random.chance(0.6)) add(side, moment(), { type: random.chance(0.8) ? "close" : "abort" });
    }
  }
  return { steps: steps.sort((a, b) => a.at - b.at), lasting };
}

/** How long either process is suspended in all. */
export function suspendedMs({ steps }: Program): number {
  return steps.reduce((sum, { action }) => sum + (action.type === "suspend" ? action.ms : 0), 0);
}

export function other(side: Side): Side {
  return side === "client" ? "server" : "client";
}

/** Mostly a few messages, at times more than any window holds. */
function drawBurst(random: SeededRandom): number {
  return random.chance(0.04) ? random.between(10, 80) : random.between(1, 5);
}

function drawMessage(random: SeededRandom): Action {
  const length = random.chance(0.5)
    ? random.pick(BORDER_LENGTHS)
    : random.int(random.pick([64, MAX_MESSAGE_LENGTH + 1]));
  return { type: "send", message: random.bytes(length) };
}
