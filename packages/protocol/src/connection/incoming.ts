import type { EarlyFrame, Epoch } from "../record/datagram-epochs.ts";
import { Assembler } from "../record/fragment.ts";
import type { DropCause } from "./counters.ts";

export type Incoming = { readonly message: Uint8Array } | { readonly dropped: DropCause };

/** Makes messages of the opened frames of a datagram session, in order where the peer keeps one. */
export class IncomingMessages {
  readonly #assembler: Assembler = new Assembler();

  /** Takes a frame that has its place: `data` of DATA and DATA_FRAG, undefined for the others, which fill a number too. */
  take(epoch: Epoch, seq: number, data: EarlyFrame | undefined): readonly Incoming[] {
    const ready = epoch.order?.put(seq, data) ?? (data === undefined ? [] : [data]);
    return ready.flatMap((frame) => this.#assemble(frame));
  }

  discard(): void {
    this.#assembler.discard();
  }

  #assemble({ type, seq, plaintext }: EarlyFrame): readonly Incoming[] {
    const broken = this.#assembler.breaksAt(seq);
    if (broken) this.#assembler.discard();
    const before: readonly Incoming[] = broken ? [{ dropped: "broken-fragments" }] : [];
    const assembled = this.#assembler.add(type, seq, plaintext);
    if (assembled === undefined) return before;
    return [...before, "violation" in assembled ? { dropped: assembled.violation } : assembled];
  }
}
