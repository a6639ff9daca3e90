import { describe, expect, it } from "vitest";
import { ControlTraffic } from "../../src/connection/control-traffic.ts";
import { after, START } from "../support/fixtures.ts";

describe("received control frames", () => {
  it("are at most 8 in a second that begins with the first of them", () => {
    const control = new ControlTraffic();
    for (let i = 0; i < 8; i++) expect(control.takeReceived(after(i))).toBe(true);
    expect(control.takeReceived(after(1_000))).toBe(false);
    expect(control.takeReceived(after(1_001))).toBe(true);
  });

  it("of type REKEY are at most 100 in a second, counted apart", () => {
    const control = new ControlTraffic();
    for (let i = 0; i < 100; i++) expect(control.takeRekey(START)).toBe(true);
    expect(control.takeRekey(START)).toBe(false);
    expect(control.takeReceived(START)).toBe(true);
    expect(control.takeRekey(after(1_001))).toBe(true);
  });
});

describe("our PINGs", () => {
  it("may leave at once until six control frames left within 1.1 s", () => {
    const control = new ControlTraffic();
    for (let i = 0; i < 5; i++) control.noteSent(after(i * 10));
    expect(control.nextPingAt).toBeUndefined();
    control.noteSent(after(50));
    expect(control.nextPingAt).toBe(after(1_100));
    control.noteSent(after(60));
    expect(control.nextPingAt).toBe(after(1_110));
  });

  it("are timed from the oldest that is unanswered", () => {
    const control = new ControlTraffic();
    expect(control.pingUnderWay).toBe(false);
    expect(control.takePong(START)).toBeUndefined();
    control.notePing(START);
    control.notePing(after(10));
    expect(control.pingUnderWay).toBe(true);
    expect(control.takePong(after(40))).toBe(40);
    expect(control.pingUnderWay).toBe(false);
    expect(control.takePong(after(50))).toBeUndefined();
  });
});
