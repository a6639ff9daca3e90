import { describe, expect, it } from "vitest";
import { ReceiveOrder } from "../../src/record/receive-order.ts";

describe("the order of an epoch whose sender leaves no number out", () => {
  it("gives on what is next, and what came early once the gap before it closes", () => {
    const order = new ReceiveOrder<string>(5);
    expect(order.put(6, "six")).toEqual([]);
    expect(order.put(8, "eight")).toEqual([]);
    expect(order.put(5, "five")).toEqual(["five", "six"]);
    expect(order.put(7, "seven")).toEqual(["seven", "eight"]);
  });

  it("counts control frames, which had their effect when they came, and gives nothing on for them", () => {
    const order = new ReceiveOrder<string>(0);
    expect(order.put(1, "one")).toEqual([]);
    expect(order.put(0, undefined)).toEqual(["one"]);
  });

  it("reaches from the next number over a window of 64", () => {
    const order = new ReceiveOrder<string>(10);
    expect([9, 10, 73, 74].map((seq) => order.reaches(seq))).toEqual([false, true, true, false]);
    order.put(10, "ten");
    expect([10, 74].map((seq) => order.reaches(seq))).toEqual([false, true]);
  });

  it("begins anew where the sender says, and forgets what was early", () => {
    const order = new ReceiveOrder<string>(0);
    order.put(1, "one");
    order.restart(500);
    expect(order.put(500, "next")).toEqual(["next"]);
    expect(order.put(0, undefined)).toEqual([]);
  });
});
