import { wrapRecordKeys } from "@usmp/testkit";
import type { CryptoProvider, RecordKey } from "../../src/crypto/provider.ts";
import { plaintextLength } from "../../src/record/protection.ts";
import { readU32 } from "../../src/wire/bytes.ts";
import { announcedPayloadLength, decodeFrame, FrameType } from "../../src/wire/frame.ts";

export interface RunKeys {
  readonly provider: CryptoProvider;
  /** Frames that went through openRun() and sealRun(). */
  readonly opened: () => number;
  readonly sealed: () => number;
  /** The next sealRun() throws, before it has sealed anything. */
  failNext(): void;
}

/** `provider` whose keys also take several frames at a time, as RecordKey asks it of a provider that offers that. */
export function runKeys(provider: CryptoProvider): RunKeys {
  let [opened, sealed, fail] = [0, 0, false];
  const wrap = (key: RecordKey): RecordKey => ({
    seal: (frame) => key.seal(frame),
    open: (frame, out) => key.open(frame, out),
    acknowledgementMac: (message) => key.acknowledgementMac(message),
    sealRun(bytes, start, end) {
      if (fail) {
        fail = false;
        throw new Error("the cipher failed, as the test told it to");
      }
      for (const frame of framesIn(bytes, start, end)) {
        key.seal(frame);
        sealed++;
      }
    },
    openRun(bytes, start, end, seq, out) {
      let [count, used] = [0, 0];
      for (const frame of framesIn(bytes, start, end)) {
        const length = plaintextLength(frame);
        if (length < 0 || used + length > out.length || !isNextData(frame, seq + count)) break;
        if (!key.open(frame, out.subarray(used, used + length))) break;
        used += length;
        count++;
      }
      opened += count;
      return count;
    },
  });
  return {
    provider: wrapRecordKeys(provider, wrap),
    opened: () => opened,
    sealed: () => sealed,
    failNext() {
      fail = true;
    },
  };
}

function isNextData(bytes: Uint8Array, seq: number): boolean {
  const frame = decodeFrame(bytes);
  if (typeof frame === "string" || frame.seq !== seq || readU32(bytes, 12) !== seq || seq === 0xffffffff) return false;
  return frame.type === FrameType.DATA || frame.type === FrameType.DATA_FRAG;
}

function* framesIn(bytes: Uint8Array, start: number, end: number): Generator<Uint8Array> {
  for (let at = start; at + 12 <= end; ) {
    const next = at + 12 + announcedPayloadLength(bytes, at);
    if (next > end) return;
    yield bytes.subarray(at, next);
    at = next;
  }
}
