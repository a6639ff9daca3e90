import { describe, expect, it } from "vitest";
import { RetryRing } from "../../src/connection/retry-ring.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { encodeUtack } from "../../src/wire/utack.ts";
import { after, filled, START } from "../support/fixtures.ts";

const HELLO = { type: FrameType.HELLO, seq: 0, length: 50 };
const UTACK = encodeUtack(FrameType.HELLO, 0);
const UTACK_OF_RETRY_LENGTH = 7;
const RETRY = filled(28, 0x0a);
const A = { key: "a" };
const B = { key: "b" };
const to = (address: { readonly key: string }, ...datagrams: readonly Uint8Array[]) =>
  datagrams.map((data) => ({ data, to: address }));

describe("HELLOs without cookie", () => {
  it("get HELLO_RETRY at once and again one second later, in order; the UTACK after 1.6 s", () => {
    const ring = new RetryRing();
    expect(ring.timeout).toBeUndefined();
    expect(ring.answer(HELLO, RETRY, A, START)).toEqual(to(A, RETRY));
    expect(ring.answer(HELLO, RETRY, B, after(300))).toEqual(to(B, RETRY));
    expect(ring.timeout).toBe(after(1_000));
    expect(ring.takeDue(after(999))).toEqual([]);
    expect(ring.takeDue(after(1_000))).toEqual(to(A, RETRY));
    expect(ring.timeout).toBe(after(1_300));
    expect(ring.takeDue(after(1_300))).toEqual(to(B, RETRY));
    expect(ring.timeout).toBe(after(1_600));
    expect(ring.takeDue(after(1_600))).toEqual(to(A, UTACK));
    expect(ring.takeDue(after(1_900))).toEqual(to(B, UTACK));
    expect(ring.takeDue(after(2_000))).toEqual(to(A, UTACK));
  });

  it("get the UTACK once HELLO_RETRY has arrived, and both a second later: it may have been lost behind the radio", () => {
    const ring = new RetryRing();
    ring.answer(HELLO, RETRY, A, START);
    expect(ring.informed(A, UTACK_OF_RETRY_LENGTH)).toEqual(to(A, UTACK));
    expect(ring.informed(B, UTACK_OF_RETRY_LENGTH)).toEqual([]);
    expect(ring.takeDue(after(1_000))).toEqual(to(A, UTACK, RETRY));
  });

  it("get both whenever they come again", () => {
    const ring = new RetryRing();
    ring.answer(HELLO, RETRY, A, START);
    expect(ring.answer(HELLO, RETRY, A, after(500))).toEqual(to(A, UTACK, RETRY));
    expect(ring.takeDue(after(1_500))).toEqual(to(A, UTACK, RETRY));
    expect(ring.answer(HELLO, RETRY, A, after(1_500))).toEqual(to(A, UTACK, RETRY));
  });

  it("count anew for a client that began anew, but for what they may get in all", () => {
    const ring = new RetryRing();
    const other = filled(28, 0x0b);
    ring.answer(HELLO, RETRY, A, START);
    expect(ring.answer(HELLO, other, A, after(100))).toEqual(to(A, other));
    expect(ring.takeDue(after(1_100))).toEqual(to(A, other));
  });

  it("get nothing more once the cookie came, and are forgotten after four seconds", () => {
    const ring = new RetryRing();
    ring.answer(HELLO, RETRY, A, START);
    ring.answer(HELLO, RETRY, B, START);
    ring.cancel("b");
    ring.cancel("stranger");
    for (const ms of [1_000, 2_000, 3_000]) {
      expect(ring.takeDue(after(ms)).every(({ to: { key } }) => key === "a")).toBe(true);
    }
    ring.takeDue(after(4_000));
    expect(ring.timeout).toBeUndefined();
  });

  it("get at most 1.6 times what they brought, whatever comes how often", () => {
    const ring = new RetryRing();
    let received = 0;
    let bytes = 0;
    const count = (datagrams: readonly { readonly data: Uint8Array }[]): void => {
      for (const { data } of datagrams) bytes += data.length;
      expect(bytes).toBeLessThanOrEqual(1.6 * received);
    };
    for (let i = 0; i < 200; i++) {
      const now = after(i * 700);
      received += i % 3 === 0 ? HELLO.length : UTACK_OF_RETRY_LENGTH;
      count(i % 3 === 0 ? ring.answer(HELLO, RETRY, A, now) : ring.informed(A, UTACK_OF_RETRY_LENGTH));
      count(ring.takeDue(now));
    }
    expect(bytes).toBeGreaterThan(received);
  });

  it("are remembered in a ring of 1,024: under load, those beyond get both at once, and nothing later", () => {
    const ring = new RetryRing();
    for (let i = 0; i < 50_000; i++) ring.answer(HELLO, RETRY, { key: `spoofed ${i}` }, START);
    expect(ring.answer(HELLO, RETRY, A, START)).toEqual(to(A, UTACK, RETRY));
    expect(ring.takeDue(after(1_000))).toHaveLength(1_024);
    expect(ring.takeDue(after(1_600))).toHaveLength(1_024);
    for (const ms of [2_000, 3_000, 4_000]) ring.takeDue(after(ms));
    expect(ring.answer(HELLO, RETRY, A, after(4_000))).toEqual(to(A, RETRY));
  });
});
