import type { Instant } from "../../src/time.ts";
import { type EstablishedDatagram, sent } from "./datagrams.ts";
import { randomBytes, START } from "./fixtures.ts";
import { typeOf } from "./raw-peer.ts";

export function onlySent(subject: EstablishedDatagram): Uint8Array {
  const { frames } = sent(subject.machine);
  if (frames.length !== 1) throw new Error(`expected one frame, not ${frames.map(typeOf)}`);
  return frames[0] as Uint8Array;
}

/** The machine says REKEY; the peer derives the new epoch, but has not acknowledged. */
export function machineRekeys(subject: EstablishedDatagram, now: Instant = START): Uint8Array {
  subject.machine.rekey(now);
  const frame = onlySent(subject);
  subject.raw.rekey("peer", subject.raw.open(frame).plaintext);
  return frame;
}

/** The peer says REKEY with this seq; the machine has learned the new epoch. */
export function peerRekeys({ raw, give }: EstablishedDatagram, seq: number, now: Instant = START): Uint8Array {
  const salt = randomBytes(32);
  const frame = raw.seal("REKEY", seq, salt);
  give(frame, now);
  raw.rekey("us", salt);
  return frame;
}

export function trafficKeys(alive: readonly string[]): string[] {
  return alive.filter((what) => what.startsWith("traffic keys"));
}
