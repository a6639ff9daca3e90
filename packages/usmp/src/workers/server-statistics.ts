import type { ServerStatistics } from "../api.ts";

export const NO_STATISTICS: ServerStatistics = {
  sessionsEstablished: 0,
  sessionsOpen: 0,
  handshakesOpen: 0,
  provenPairs: 0,
  refusalsUnreported: 0,
  refused: {},
  dropped: {},
};

/** Of several workers, as of one server. Proven pairs are known to all of them, so the most that one knows. */
export function sumOf(all: readonly ServerStatistics[]): ServerStatistics {
  return all.reduce(
    (sum, one) => ({
      sessionsEstablished: sum.sessionsEstablished + one.sessionsEstablished,
      sessionsOpen: sum.sessionsOpen + one.sessionsOpen,
      handshakesOpen: sum.handshakesOpen + one.handshakesOpen,
      provenPairs: Math.max(sum.provenPairs, one.provenPairs),
      refusalsUnreported: sum.refusalsUnreported + one.refusalsUnreported,
      refused: sumOfCounts(sum.refused, one.refused),
      dropped: sumOfCounts(sum.dropped, one.dropped),
    }),
    NO_STATISTICS,
  );
}

/** What stays of a worker that is gone: what happened, and nothing that was under way. */
export function pastOf(statistics: ServerStatistics): ServerStatistics {
  return { ...statistics, sessionsOpen: 0, handshakesOpen: 0, provenPairs: 0 };
}

type Counts = Readonly<Record<string, number>>;

function sumOfCounts(one: Counts, other: Counts): Counts {
  const sum: Record<string, number> = { ...one };
  for (const [cause, count] of Object.entries(other)) sum[cause] = (sum[cause] ?? 0) + count;
  return sum;
}
