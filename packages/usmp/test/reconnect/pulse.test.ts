import { VirtualClock } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { Pulse } from "../../src/reconnect/pulse.ts";

const SETTINGS = { keepaliveMs: 30_000, deadAfterMs: 10_000 };

describe("the pulse of a session", () => {
  test("asks after a quiet time, once more half-way, and then calls the peer dead", () => {
    const { clock, log } = begin();
    clock.advance(60_000);
    expect(log).toEqual(["30100 ping", "35100 ping", "40100 dead after 10000"]);
  });

  test("does not ask where the session's own keepalive just did", () => {
    const { clock, log, subject } = begin();
    clock.advance(30_000);
    subject.pingsSent++;
    clock.advance(11_000);
    expect(log).toEqual(["35100 ping", "40100 dead after 10000"]);
  });

  test("counts from what was asked first, whatever is asked later", () => {
    const { clock, log, pulse } = begin();
    clock.advance(1_000);
    pulse.asked();
    for (let i = 0; i < 9; i++) {
      clock.advance(1_000);
      pulse.asked();
    }
    expect(log).toEqual(["6000 ping"]);
    clock.advance(1_000);
    expect(log).toEqual(["6000 ping", "11000 dead after 10000"]);
  });

  test("is felt again with everything that is heard", () => {
    const { clock, log, pulse } = begin();
    pulse.asked();
    for (let i = 0; i < 100; i++) {
      clock.advance(4_900);
      pulse.heard(true);
    }
    expect(log).toEqual([]);
    pulse.heard(false);
    clock.advance(30_000);
    expect(log).toEqual([]);
  });

  test("says nothing while nobody listens: the silence is ours", () => {
    const { clock, log, subject, pulse } = begin();
    pulse.asked();
    subject.deaf = true;
    clock.advance(600_000);
    expect(log).toEqual([]);
    subject.deaf = false;
    clock.advance(16_000);
    expect(log.at(-1)).toMatch(/dead/);
  });

  test("takes time in which the process did not run for no time at all", () => {
    const { clock, log, pulse } = begin();
    pulse.asked();
    clock.advance(4_000);
    clock.jump(600_000);
    expect(log).toEqual([]);
    clock.advance(5_000);
    expect(log).toEqual(["609000 ping"]);
    pulse.heard(false);
    clock.jump(600_000);
    clock.advance(29_000);
    expect(log).toEqual(["609000 ping"]);
  });

  test("can be probed: asked now, with less patience", () => {
    const { clock, log, pulse } = begin();
    clock.advance(1_000);
    pulse.probe(2_000);
    clock.advance(1_999);
    expect(log).toEqual(["1000 ping"]);
    clock.advance(1);
    expect(log).toEqual(["1000 ping", "3000 dead after 2000"]);
  });

  test("has its usual patience again after a probe that was answered", () => {
    const { clock, log, pulse } = begin();
    pulse.probe(2_000);
    pulse.heard(false);
    pulse.asked();
    clock.advance(9_999);
    expect(log).toEqual(["0 ping", "5000 ping"]);
  });

  test("stops with its session", () => {
    const { clock, pulse } = begin();
    pulse.asked();
    pulse.stop();
    expect(clock.pendingAlarms).toBe(0);
  });
});

function begin() {
  const clock = new VirtualClock();
  const log: string[] = [];
  const subject = {
    pingsSent: 0,
    deaf: false,
    ping() {
      subject.pingsSent++;
      log.push(`${clock.now()} ping`);
    },
    onDead: (silentMs: number) => void log.push(`${clock.now()} dead after ${silentMs}`),
  };
  return { clock, log, subject, pulse: new Pulse(subject, clock, SETTINGS) };
}
