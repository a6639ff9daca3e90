import { LAST_SEQ, REPLAY_WINDOW_SIZE } from "../constants.ts";
import type { RecordKey } from "../crypto/provider.ts";
import type { ReplayWindow } from "./replay-window.ts";

/**
 * What a sender of ours says by a jump in its numbers (docs/pipelining.md). A gap is nothing to any receiver (spec section 4); one of at
 * least a window's width, to a number whose low 16 bits only the holders of the key can name, no other peer ever makes.
 *
 * "offer": from this frame on I leave no number out. "answer": the same, and I have heard yours, so I put your frames into order.
 */
export type OrderMark = "offer" | "answer";

/** What the 16 bits are the MAC of. No UTACK has this length. */
const LABEL: Uint8Array = Uint8Array.from("usmp order", (character) => character.charCodeAt(0));
const MODULUS = 0x1_0000;
const ANSWER_BIT = 0x8000;

/** Further on a jump could cost numbers that the session's end needs. */
const LAST_MARKABLE_SEQ: number = LAST_SEQ - 4 * MODULUS;

/** The number of the frame that carries `mark`: the next fitting one that jumps over a whole window; undefined near the end of the space. */
export function markedSeq(mark: OrderMark, nextSeq: number, transmit: RecordKey): number | undefined {
  if (nextSeq > LAST_MARKABLE_SEQ) return undefined;
  const least = nextSeq + REPLAY_WINDOW_SIZE;
  const distance = (lowBits(mark, transmit) - least) % MODULUS;
  return least + (distance < 0 ? distance + MODULUS : distance);
}

/** The mark that a fresh, authentic frame with this number carries. */
export function markIn(seq: number, window: ReplayWindow, receive: RecordKey): OrderMark | undefined {
  if (seq - window.newest <= REPLAY_WINDOW_SIZE) return undefined;
  const low = seq % MODULUS;
  return (["offer", "answer"] as const).find((mark) => low === lowBits(mark, receive));
}

function lowBits(mark: OrderMark, key: RecordKey): number {
  const mac = key.acknowledgementMac(LABEL);
  const offer = (mac[0] as number) | ((mac[1] as number) << 8);
  return mark === "offer" ? offer : offer ^ ANSWER_BIT;
}
