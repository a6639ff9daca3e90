import type { DatagramConditions, Direction, SeededRandom } from "@usmp/testkit";

/** Each way has its own: a radio hears well where it is not heard. */
export type PathConditions = Readonly<Record<Direction, DatagramConditions>>;

/** Someone copies all that the client sends, and sends the copies on from an address of its own. */
export interface Shadow {
  readonly at: number;
  readonly ms: number;
  /** So much after the client sent: less than the path takes, and the copy comes first. */
  readonly delayMs: number;
}

/** What the path between the two ends does in one schedule. */
export interface DatagramNetwork {
  readonly conditions: PathConditions;
  /** True: so it is from the first HELLO on; false: only once the session is there. */
  readonly fromStart: boolean;
  /** Moments, in milliseconds after the session was established, at which the client's NAT gives it another address. */
  readonly moves: readonly number[];
  /** Nothing passes from `at` on for `ms`. */
  readonly outages: readonly { readonly at: number; readonly ms: number }[];
  /** How many datagrams an attacker on the path adds. */
  readonly attacks: number;
  readonly shadows: readonly Shadow[];
}

/** After it everything has to come right. */
export const HEALED: PathConditions = bothWays({ latencyMs: 10, jitterMs: 15 });

export function drawNetwork(random: SeededRandom): DatagramNetwork {
  const drawOneWay = (): DatagramConditions => random.pick([drawMild, drawLossy, drawHarsh])(random);
  const toServer = drawOneWay();
  return {
    conditions: random.chance(0.3)
      ? { "client-to-server": toServer, "server-to-client": drawOneWay() }
      : bothWays(toServer),
    fromStart: random.chance(0.3),
    moves: moments(random, random.pick([0, 0, 0, 1, 3])),
    outages: random.chance(0.2) ? [{ at: random.int(20_000), ms: random.pick([500, 4_000, 15_000, 70_000]) }] : [],
    attacks: random.chance(0.5) ? random.int(60) : 0,
    shadows: random.chance(0.15) ? [drawShadow(random)] : [],
  };
}

/** The worst of everything at once, an attacker included. */
export function drawHostileNetwork(random: SeededRandom): DatagramNetwork {
  return {
    conditions: { "client-to-server": drawHarsh(random), "server-to-client": drawHarsh(random) },
    fromStart: random.chance(0.5),
    moves: moments(random, random.pick([0, 1, 3, 8])),
    outages: random.chance(0.1) ? [{ at: random.int(20_000), ms: random.pick([500, 4_000]) }] : [],
    attacks: random.between(20, 200),
    shadows: random.chance(0.5) ? [drawShadow(random)] : [],
  };
}

/** How long nothing gets through in all: in the end either side may rightly hold the other for gone. */
export function silentMs({ outages, shadows }: DatagramNetwork): number {
  return [...outages, ...shadows].reduce((sum, { ms }) => sum + ms, 0);
}

export function bothWays(conditions: DatagramConditions): PathConditions {
  return { "client-to-server": conditions, "server-to-client": conditions };
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

function drawShadow(random: SeededRandom): Shadow {
  return { at: random.int(15_000), ms: random.pick([200, 2_000, 10_000]), delayMs: random.pick([0, 0, 30, 1_000]) };
}

function moments(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, () => random.int(20_000));
}
