import { VirtualClock } from "@usmp/testkit";
import { expect, test } from "vitest";
import { Turnstile } from "../src/turnstile.ts";

/** A turnstile whose turns the test begins, and work that takes a quarter of a turn. */
function turnstile() {
  const clock = new VirtualClock();
  const scheduled: (() => void)[] = [];
  const stile = new Turnstile(clock, (run) => scheduled.push(run));
  const done: string[] = [];
  const work = (name: string) => (): void => {
    clock.advance(0.25);
    done.push(name);
  };
  /** Begins the next turn; answers what was done in it. */
  const turn = (): string[] => {
    for (const run of scheduled.splice(0)) run();
    return done.splice(0);
  };
  const come = (name: string, finishing = false): void => {
    if (stile.busy) stile.wait(work(name), finishing);
    else stile.pass(work(name));
  };
  return { stile, come, turn, done, scheduled };
}

test("work is done at once while the turn has room, and then waits in the order in which it came", () => {
  const { come, turn, done } = turnstile();
  for (let i = 0; i < 10; i++) come(`${i}`);
  expect(done.splice(0)).toEqual(["0", "1", "2", "3"]);
  expect(turn()).toEqual(["4", "5", "6", "7"]);
  expect(turn()).toEqual(["8", "9"]);
  come("later");
  expect(done.splice(0)).toEqual(["later"]);
});

test("what finishes a handshake goes before what begins one, and nobody is left waiting", () => {
  const { come, turn, done } = turnstile();
  for (let i = 0; i < 4; i++) come(`${i}`);
  for (let i = 0; i < 4; i++) come(`begin ${i}`);
  for (let i = 0; i < 4; i++) come(`finish ${i}`, true);
  expect(done.splice(0)).toHaveLength(4);
  expect(turn()).toEqual([0, 1, 2, 3].map((i) => `finish ${i}`));
  come("finish more", true);
  expect(turn()).toEqual(["finish more", ...[0, 1, 2].map((i) => `begin ${i}`)]);
  expect(turn()).toEqual(["begin 3"]);
});

test("work that comes while others wait does not pass them by, although the turn has room", () => {
  const { come, turn, stile } = turnstile();
  for (let i = 0; i < 5; i++) come(`${i}`);
  expect(stile.busy).toBe(true);
  expect(stile.waiting).toBe(1);
  come("behind it");
  expect(turn()).toEqual(["0", "1", "2", "3", "4", "behind it"]);
  expect(stile.busy).toBe(false);
});

test("a quiet server has no turn scheduled", () => {
  const { come, turn, scheduled } = turnstile();
  come("one");
  expect(scheduled).toHaveLength(1);
  turn();
  expect(scheduled).toHaveLength(0);
});

test("one piece that takes longer than a turn keeps no other from its own turn", () => {
  const clock = new VirtualClock();
  const scheduled: (() => void)[] = [];
  const stile = new Turnstile(clock, (run) => scheduled.push(run));
  const done: number[] = [];
  stile.pass(() => clock.advance(50));
  for (let i = 0; i < 3; i++) {
    stile.wait(() => {
      clock.advance(50);
      done.push(i);
    }, false);
  }
  for (let turns = 1; turns <= 3; turns++) {
    scheduled.shift()?.();
    expect(done).toHaveLength(turns);
  }
});
