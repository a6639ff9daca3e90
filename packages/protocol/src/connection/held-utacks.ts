import type { Epoch } from "../record/datagram-epochs.ts";
import type { Address } from "./events.ts";
import { HeldAnswers } from "./held-answers.ts";

/** What a frame is owed that completed messages which the application has not accepted yet. */
interface OwedUtacks {
  readonly epoch: Epoch;
  readonly seq: number;
  readonly utacks: readonly Uint8Array[];
  to: Address;
}

export class HeldUtacks extends HeldAnswers<OwedUtacks> {
  /** A copy of a frame came from there: true when its UTACK is withheld, which now goes there. */
  moveTo(to: Address, epoch: Epoch, seq: number): boolean {
    const owed = this.find((each) => each.epoch === epoch && each.seq === seq);
    if (owed === undefined) return false;
    owed.to = to;
    return true;
  }
}
