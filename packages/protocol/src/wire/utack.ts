import { UTACK_LENGTH, UTACK_MAC_LENGTH, UTACK_MAGIC } from "../constants.ts";
import { concatBytes, readU16, readU32, writeU16, writeU32 } from "./bytes.ts";
import { FrameType, isSessionType } from "./frame.ts";

/** A UTACK (spec section 6): it acknowledges the frame of that type and seq. */
export interface Utack {
  readonly type: number;
  readonly seq: number;
  /** The seven bytes that the MAC covers, a view. */
  readonly message: Uint8Array;
  /** Eight bytes, a view; undefined for handshake frames, which are acknowledged before keys exist. */
  readonly mac: Uint8Array | undefined;
}

export function looksLikeUtack(datagram: Uint8Array): boolean {
  return datagram.length >= 2 && readU16(datagram, 0) === UTACK_MAGIC;
}

/**
 * Decodes a UTACK. Undefined for a wrong length, a type that is never acknowledged, or a MAC where none belongs or none
 * where one does: types 05 and up carry it, HELLO_RETRY (0A, sent before keys exist) does not.
 */
export function decodeUtack(datagram: Uint8Array): Utack | undefined {
  if (!looksLikeUtack(datagram) || datagram.length < UTACK_LENGTH) return undefined;
  const type = datagram[2] as number;
  const sealed = isSessionType(type);
  if (!sealed && !isAcknowledgedHandshakeType(type)) return undefined;
  if (datagram.length !== (sealed ? UTACK_LENGTH + UTACK_MAC_LENGTH : UTACK_LENGTH)) return undefined;
  return {
    type,
    seq: readU32(datagram, 3),
    message: datagram.subarray(0, UTACK_LENGTH),
    mac: sealed ? datagram.subarray(UTACK_LENGTH) : undefined,
  };
}

/** The UTACK of a handshake frame, or the part of a session frame's that its MAC covers. */
export function encodeUtack(type: number, seq: number): Uint8Array {
  const utack = new Uint8Array(UTACK_LENGTH);
  writeU16(utack, 0, UTACK_MAGIC);
  utack[2] = type;
  writeU32(utack, 3, seq);
  return utack;
}

/** The UTACK of a session frame; `mac` answers the 8-byte MAC of a message under the key that sealed the frame. */
export function encodeSealedUtack(type: number, seq: number, mac: (message: Uint8Array) => Uint8Array): Uint8Array {
  const message = encodeUtack(type, seq);
  return concatBytes(message, mac(message));
}

function isAcknowledgedHandshakeType(type: number): boolean {
  return (type >= FrameType.HELLO && type <= FrameType.SESSION_OK) || type === FrameType.HELLO_RETRY;
}
