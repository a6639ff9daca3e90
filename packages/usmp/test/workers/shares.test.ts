import { expect, test } from "vitest";
import { RestartDelay } from "../../src/workers/restart-delay.ts";
import { NO_STATISTICS, pastOf, sumOf } from "../../src/workers/server-statistics.ts";
import { SessionShares } from "../../src/workers/session-shares.ts";

test("shares are all there is, whatever is moved and whoever ends", () => {
  const shares = new SessionShares(11, 3);
  const granted = (): number[] => [0, 1, 2].map((worker) => shares.granted(worker));
  expect(granted()).toEqual([4, 4, 3]);
  expect(shares.donorFor(0, () => 0)).toEqual({ worker: 1, most: 2 });
  expect(shares.donorFor(0, (worker) => [4, 4, 2][worker] as number)).toEqual({ worker: 2, most: 1 });
  expect(shares.donorFor(0, () => 4)).toBeUndefined();
  shares.move(1, 0, 2);
  expect(granted()).toEqual([6, 2, 3]);
  shares.noteEnded(0);
  expect(granted()).toEqual([0, 2, 3]);
  expect(shares.takeFree(2)).toBe(6);
  expect(shares.takeFree(0)).toBe(0);
  expect(granted()).toEqual([0, 2, 9]);
});

test("with fewer sessions than workers some begin with none, and get one when they ask", () => {
  const shares = new SessionShares(1, 2);
  expect([shares.granted(0), shares.granted(1)]).toEqual([1, 0]);
  expect(shares.donorFor(1, () => 0)).toEqual({ worker: 0, most: 1 });
  expect(shares.donorFor(1, (worker) => (worker === 0 ? 1 : 0))).toBeUndefined();
});

test("a worker that keeps ending is begun again ever later, up to ten seconds, and one that lived well at once", () => {
  const delay = new RestartDelay();
  expect(Array.from({ length: 9 }, () => delay.after(50))).toEqual([
    100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000,
  ]);
  expect(delay.after(30_000)).toBe(100);
  expect(delay.after(29_999)).toBe(200);
});

test("statistics of workers add up, and of one that is gone stays what happened", () => {
  const one = {
    sessionsEstablished: 3,
    sessionsOpen: 2,
    handshakesOpen: 1,
    provenPairs: 5,
    refusalsUnreported: 1,
    refused: { "wrong-key": 2 },
    dropped: { "no-session": 1 },
  };
  const other = { ...one, provenPairs: 7, refused: { "wrong-key": 1, evicted: 4 }, dropped: {} };
  expect(sumOf([])).toEqual(NO_STATISTICS);
  expect(sumOf([one, other])).toEqual({
    sessionsEstablished: 6,
    sessionsOpen: 4,
    handshakesOpen: 2,
    provenPairs: 7,
    refusalsUnreported: 2,
    refused: { "wrong-key": 3, evicted: 4 },
    dropped: { "no-session": 1 },
  });
  expect(pastOf(one)).toEqual({ ...one, sessionsOpen: 0, handshakesOpen: 0, provenPairs: 0 });
});
