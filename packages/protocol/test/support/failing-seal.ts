import { wrapRecordKeys } from "@usmp/testkit";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { seqOf } from "./raw-peer.ts";

export interface FailingSeal {
  readonly provider: CryptoProvider;
  /** Sequence numbers that were given to seal(), failed ones included, in order. */
  readonly seqs: readonly number[];
  /** The next seal throws, after it has seen the frame. */
  failNext(): void;
}

/** `provider` whose sealing fails when it is told to. */
export function failingSeal(provider: CryptoProvider): FailingSeal {
  const seqs: number[] = [];
  let fail = false;
  return {
    provider: wrapRecordKeys(provider, (key) => ({
      seal(frame) {
        seqs.push(seqOf(frame));
        if (fail) {
          fail = false;
          throw new Error("the cipher failed, as the test told it to");
        }
        key.seal(frame);
      },
      open: (frame, out) => key.open(frame, out),
      acknowledgementMac: (message) => key.acknowledgementMac(message),
    })),
    seqs,
    failNext() {
      fail = true;
    },
  };
}
