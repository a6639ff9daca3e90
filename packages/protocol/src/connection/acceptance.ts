import { LAST_SEQ, REKEY_SALT_LENGTH } from "../constants.ts";
import type { Opened } from "../record/datagram-epochs.ts";
import type { Instant } from "../time.ts";
import { type Frame, FrameType } from "../wire/frame.ts";
import type { ControlTraffic } from "./control-traffic.ts";
import type { DropCause } from "./counters.ts";

/** What decides, beside the frame itself, whether it has a place. */
export interface Room {
  /** The application is behind. */
  readonly paused: boolean;
  readonly control: ControlTraffic;
  /** Its number says where an order begins anew: it need not be within the reach of the old one. */
  readonly marked: boolean;
}

/** Why an authentic, fresh frame has no place on a datagram session; it stays unacknowledged and, but for breaches, will come again. */
export function declines(
  frame: Frame,
  opened: Opened,
  { paused, control, marked }: Room,
  now: Instant,
): DropCause | undefined {
  const { plaintext, epoch } = opened;
  const { type, seq } = frame;
  if (!marked && epoch.order?.reaches(seq) === false) return "out-of-reach";
  if (type === FrameType.BYE) return plaintext.length > 0 ? "bad-length" : undefined;
  if (type === FrameType.DATA || type === FrameType.DATA_FRAG) {
    if (seq === LAST_SEQ) return "sequence-exhausted";
    return paused ? "receiver-full" : undefined;
  }
  if (plaintext.length !== (type === FrameType.REKEY ? REKEY_SALT_LENGTH : 0)) return "bad-length";
  if (seq === LAST_SEQ) return "sequence-exhausted";
  const taken = type === FrameType.REKEY ? control.takeRekey(now) : control.takeReceived(now);
  return taken ? undefined : "control-flood";
}
