import { expect, test } from "vitest";
import { BEGIN, TestTime } from "../support/registries.ts";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

test("a clock that goes with the monotonic one is trusted, drift and small steps too", () => {
  const time = new TestTime();
  expect(time.wallClock.doubt).toBeUndefined();
  time.passWall(100 * YEAR_MS);
  expect(time.wallClock.doubt).toBeUndefined();
  time.wall += HOUR_MS - 1;
  expect(time.wallClock.doubt).toBeUndefined();
});

test.each([2 * HOUR_MS, -2 * HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS])(
  "a step of %d ms is not trusted until it is confirmed",
  (step) => {
    const time = new TestTime();
    time.wall += step;
    expect(time.wallClock.doubt).toEqual({ doubt: "stepped", byMs: step });
    time.passWall(HOUR_MS);
    expect(time.wallClock.doubt).toEqual({ doubt: "stepped", byMs: step });
    expect(time.wallClock.now()).toBe(time.wall);
    time.wallClock.confirm();
    expect(time.wallClock.doubt).toBeUndefined();
  },
);

test("a step that is taken back leaves no doubt", () => {
  const time = new TestTime();
  time.wall += YEAR_MS;
  expect(time.wallClock.doubt).toBeDefined();
  time.wall -= YEAR_MS;
  expect(time.wallClock.doubt).toBeUndefined();
});

test("a time before the build, or before the last run, is not trusted", () => {
  const time = new TestTime();
  time.wallClock.noteLastRun(BEGIN + 2 * HOUR_MS);
  expect(time.wallClock.doubt).toEqual({
    doubt: "before-last-run",
    lastRunAt: new Date(BEGIN + 2 * HOUR_MS).toISOString(),
  });
  time.wallClock.confirm();
  expect(time.wallClock.doubt).toBeUndefined();
  const young = new TestTime(Date.UTC(1970, 0, 2));
  expect(young.wallClock.doubt).toMatchObject({ doubt: "before-build" });
  young.wallClock.confirm();
  expect(young.wallClock.doubt).toBeUndefined();
});

test("the system's synchronization vouches for a step that it made itself, not for one after it", () => {
  const time = new TestTime();
  time.synchronizedAt = time.wall;
  time.passWall(HOUR_MS);
  time.wall += YEAR_MS;
  expect(time.wallClock.doubt).toMatchObject({ doubt: "stepped" });
  time.passWall(1000);
  time.synchronizedAt = time.wall;
  expect(time.wallClock.doubt).toBeUndefined();
});
