import { describe, expect, it } from "vitest";
import { RetryRing } from "../../src/connection/retry-ring.ts";
import { after, START } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";

const retryTo = (key: string) => ({ data: ascii("retry"), to: { key } });

describe("second HELLO_RETRYs", () => {
  it("are due one second after the first, in order", () => {
    const ring = new RetryRing();
    expect(ring.timeout).toBeUndefined();
    ring.add(retryTo("a"), START);
    ring.add(retryTo("b"), after(300));
    expect(ring.timeout).toBe(after(1_000));
    expect(ring.takeDue(after(999))).toEqual([]);
    expect(ring.takeDue(after(1_000))).toEqual([retryTo("a")]);
    expect(ring.timeout).toBe(after(1_300));
    expect(ring.takeDue(after(5_000))).toEqual([retryTo("b")]);
    expect(ring.takeDue(after(9_000))).toEqual([]);
  });

  it("are one for each address, and none once the cookie came", () => {
    const ring = new RetryRing();
    ring.add(retryTo("a"), START);
    ring.add(retryTo("a"), after(10));
    ring.add(retryTo("b"), START);
    ring.cancel("b");
    ring.cancel("stranger");
    expect(ring.takeDue(after(2_000))).toEqual([retryTo("a")]);
  });

  it("wait in a ring of 1,024: under load, those beyond are not sent", () => {
    const ring = new RetryRing();
    for (let i = 0; i < 50_000; i++) ring.add(retryTo(`spoofed ${i}`), START);
    expect(ring.takeDue(after(1_000))).toHaveLength(1_024);
    ring.add(retryTo("honest"), after(1_000));
    expect(ring.takeDue(after(2_000))).toEqual([retryTo("honest")]);
  });
});
