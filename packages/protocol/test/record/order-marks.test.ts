import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { LAST_SEQ } from "../../src/constants.ts";
import { Secret } from "../../src/crypto/secret.ts";
import { markedSeq, markIn } from "../../src/record/order-marks.ts";
import { ReplayWindow } from "../../src/record/replay-window.ts";
import { filled } from "../support/fixtures.ts";

const keysOf = (byte: number) =>
  defaultCrypto().importTrafficKeys(
    "client",
    new Secret(filled(32, byte)),
    new Secret(filled(32, byte + 1)),
    new Uint8Array(16),
  );
const key = keysOf(1).transmit;
const other = keysOf(7).transmit;

function windowAt(newest: number): ReplayWindow {
  const window = new ReplayWindow();
  if (newest >= 0) window.mark(newest);
  return window;
}

describe.each(["offer", "answer"] as const)("the mark %s", (mark) => {
  it.each([0, 1, 5, 64, 65_535, 65_536, 1_000_000])("is said by a jump from %i that its key alone explains", (next) => {
    const seq = markedSeq(mark, next, key) as number;
    expect(seq - next).toBeGreaterThanOrEqual(64);
    expect(seq - next).toBeLessThan(64 + 65_536);
    expect(markIn(seq, windowAt(next - 1), key)).toBe(mark);
    expect(markIn(seq, windowAt(next - 1), other)).toBeUndefined();
  });

  it("is none without the jump, as the same number in its turn shows", () => {
    const seq = markedSeq(mark, 0, key) as number;
    expect(markIn(seq, windowAt(seq - 1), key)).toBeUndefined();
    expect(markIn(seq, windowAt(seq - 64), key)).toBeUndefined();
    expect(markIn(seq, windowAt(seq - 65), key)).toBe(mark);
  });

  it("is not said near the end of the numbers", () => {
    expect(markedSeq(mark, LAST_SEQ - 4 * 65_536, key)).toBeDefined();
    expect(markedSeq(mark, LAST_SEQ - 4 * 65_536 + 1, key)).toBeUndefined();
  });
});

it("the two marks are never the same number", () => {
  expect(markedSeq("offer", 0, key)).not.toBe(markedSeq("answer", 0, key));
});
