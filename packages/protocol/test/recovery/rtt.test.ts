import { describe, expect, it } from "vitest";
import { RttEstimator } from "../../src/recovery/rtt.ts";

function sampled(...roundTripsMs: number[]): RttEstimator {
  const rtt = new RttEstimator();
  for (const ms of roundTripsMs) rtt.sample(ms);
  return rtt;
}

describe("the retransmission timeout", () => {
  it("is 500 ms before the first sample", () => {
    expect(sampled().timeout).toBe(500);
    expect(sampled().smoothed).toBeUndefined();
  });

  it("is three round trips after the first sample (RFC 6298, 2.2: SRTT + 4 * R/2)", () => {
    expect(sampled(200).timeout).toBe(600);
    expect(sampled(200).smoothed).toBe(200);
  });

  it("follows RFC 6298, 2.3 after that: RTTVAR by a quarter, then SRTT by an eighth", () => {
    const rtt = sampled(200, 280);
    // RTTVAR = 3/4 * 100 + 1/4 * |200 - 280| = 95; SRTT = 7/8 * 200 + 1/8 * 280 = 210.
    expect(rtt.smoothed).toBe(210);
    expect(rtt.timeout).toBe(210 + 4 * 95);
  });

  it("is never under 100 ms nor over 5 s", () => {
    expect(sampled(1).timeout).toBe(100);
    expect(sampled(20_000).timeout).toBe(5_000);
  });

  it("doubles with each send, up to 5 s", () => {
    const rtt = sampled();
    expect([1, 2, 3, 4, 5, 6].map((sends) => rtt.timeoutAfter(sends))).toEqual([
      500, 1_000, 2_000, 4_000, 5_000, 5_000,
    ]);
  });
});
