import type { DatagramConditions, SeededRandom } from "@usmp/testkit";

/** What the path between the two ends does in one schedule. */
export interface DatagramNetwork {
  readonly conditions: DatagramConditions;
  /** True: so it is from the first HELLO on; false: only once the session is there. */
  readonly fromStart: boolean;
  /** Moments, in milliseconds after the session was established, at which the client's NAT gives it another address. */
  readonly moves: readonly number[];
  /** Nothing passes from `at` on for `ms`. */
  readonly outages: readonly { readonly at: number; readonly ms: number }[];
  /** How many datagrams an attacker on the path adds. */
  readonly attacks: number;
}

/** After it everything has to come right. */
export const HEALED: DatagramConditions = { latencyMs: 10, jitterMs: 15 };

export function drawNetwork(random: SeededRandom): DatagramNetwork {
  return {
    conditions: random.pick([drawMild, drawLossy, drawHarsh])(random),
    fromStart: random.chance(0.3),
    moves: moments(random, random.pick([0, 0, 0, 1, 3])),
    outages: random.chance(0.2) ? [{ at: random.int(20_000), ms: random.pick([500, 4_000, 15_000, 70_000]) }] : [],
    attacks: random.chance(0.5) ? random.int(60) : 0,
  };
}

/** An outage after which either end may rightly hold the other for gone. */
export function maySilence({ outages }: DatagramNetwork): boolean {
  return outages.some(({ ms }) => ms > 20_000);
}

function drawMild(random: SeededRandom): DatagramConditions {
  return { latencyMs: random.int(50), jitterMs: random.int(30), duplicate: random.fraction() * 0.2 };
}

function drawLossy(random: SeededRandom): DatagramConditions {
  return { latencyMs: random.int(100), jitterMs: random.int(50), drop: random.fraction() * 0.4 };
}

function drawHarsh(random: SeededRandom): DatagramConditions {
  return {
    latencyMs: random.int(200),
    jitterMs: random.int(400),
    drop: random.fraction() * 0.4,
    duplicate: random.fraction() * 0.4,
    damage: random.fraction() * 0.2,
    reorder: random.fraction() * 0.3,
    reorderMs: random.pick([50, 500, 6_000]),
  };
}

function moments(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, () => random.int(20_000));
}
