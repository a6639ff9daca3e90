import { describe, expect, it } from "vitest";
import { Retransmission } from "../../src/recovery/retransmission.ts";
import { RttEstimator } from "../../src/recovery/rtt.ts";
import { after, START } from "../support/fixtures.ts";

describe("a retransmission", () => {
  it("is due after the timeout, then after doubled ones, at most after the cap", () => {
    const rtt = new RttEstimator();
    const retransmission = new Retransmission(START, rtt);
    const due: number[] = [];
    for (let i = 0; i < 5; i++) {
      const at = retransmission.resendAt;
      expect(retransmission.isDue(after(at - START - 1))).toBe(false);
      expect(retransmission.isDue(at)).toBe(true);
      due.push(at - START);
      retransmission.noteResend(at, rtt, 2_000);
    }
    expect(due).toEqual([500, 1_500, 3_500, 5_500, 7_500]);
    expect(retransmission.sends).toBe(6);
  });

  it("shows a round trip only while the frame was sent once (Karn's rule)", () => {
    const rtt = new RttEstimator();
    const retransmission = new Retransmission(START, rtt);
    expect(retransmission.roundTrip(after(80))).toBe(80);
    retransmission.noteResend(after(500), rtt, 5_000);
    expect(retransmission.roundTrip(after(520))).toBeUndefined();
  });
});
