import { describe, expect, it } from "vitest";
import { CongestionWindow } from "../../src/recovery/congestion.ts";

function grown(acknowledgements: number): CongestionWindow {
  const window = new CongestionWindow();
  for (let i = 0; i < acknowledgements; i++) window.onAcknowledged();
  return window;
}

describe("the congestion window", () => {
  it("begins with four frames and grows by one for each that arrives, to 32", () => {
    expect(grown(0).frames).toBe(4);
    expect(grown(1).frames).toBe(5);
    expect(grown(1_000).frames).toBe(32);
  });

  it("halves at a loss, and once only for all that was on its way then", () => {
    const window = grown(1_000);
    window.onLoss(100, 132);
    expect(window.frames).toBe(16);
    window.onLoss(131, 140);
    expect(window.frames).toBe(16);
    window.onLoss(132, 150);
    expect(window.frames).toBe(8);
  });

  it("grows by one frame a round trip after a loss", () => {
    const window = grown(1_000);
    window.onLoss(0, 1);
    for (let i = 0; i < 16; i++) window.onAcknowledged();
    expect(window.frames).toBe(16);
    window.onAcknowledged();
    expect(window.frames).toBe(17);
  });

  it("is one frame after a timeout, and grows back to half of what it was", () => {
    const window = grown(1_000);
    window.onTimeout();
    window.onTimeout();
    expect(window.frames).toBe(1);
    for (let i = 0; i < 15; i++) window.onAcknowledged();
    expect(window.frames).toBe(16);
    window.onAcknowledged();
    expect(window.frames).toBe(16);
  });

  it("never falls under two by losses", () => {
    const window = grown(0);
    for (let seq = 0; seq < 10; seq++) window.onLoss(seq, seq);
    expect(window.frames).toBe(2);
  });
});
