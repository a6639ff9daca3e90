import { HEADER_LENGTH, SEALED_OVERHEAD, SESSION_ID_LENGTH } from "../constants.ts";
import type { RecordKey } from "../crypto/provider.ts";
import { readU32, writeU32 } from "../wire/bytes.ts";
import { type Frame, type FrameType, writeHeaderAt } from "../wire/frame.ts";

/** Where the clear nonce stands in a session frame: seq, then the first half of the session id. */
const NONCE_OFFSET = HEADER_LENGTH;
const SESSION_PREFIX_OFFSET: number = NONCE_OFFSET + 4;
const SESSION_PREFIX_LENGTH: number = SESSION_ID_LENGTH / 2;
const PLAINTEXT_OFFSET: number = SESSION_PREFIX_OFFSET + SESSION_PREFIX_LENGTH;

/** Bytes of the session frame that carries `plaintextLength` bytes. */
export function sealedLength(plaintextLength: number): number {
  return HEADER_LENGTH + SEALED_OVERHEAD + plaintextLength;
}

/** Plaintext bytes of a session frame; negative when it is too short to be one. */
export function plaintextLength(frame: Uint8Array): number {
  return frame.length - HEADER_LENGTH - SEALED_OVERHEAD;
}

/**
 * Seals `plaintext` into `frame`, which must be sealedLength(plaintext.length) long: header, nonce, ciphertext, tag, CRC.
 * Spec section 4: nonce = seq || session_id[0..7], AAD = the first 10 header bytes.
 */
export function sealFrame(
  frame: Uint8Array,
  key: RecordKey,
  sessionId: Uint8Array,
  type: FrameType,
  seq: number,
  plaintext: Uint8Array,
): void {
  prepareFrame(frame, 0, sessionId, type, seq, plaintext);
  try {
    key.seal(frame);
  } catch (error) {
    // The frame may be part of what leaves next: its plaintext must not.
    frame.fill(0);
    throw error;
  }
}

/** Writes a session frame at bytes[at..] as it is before it is sealed: header, nonce, plaintext, and room for the tag. Answers where it ends. */
export function prepareFrame(
  bytes: Uint8Array,
  at: number,
  sessionId: Uint8Array,
  type: FrameType,
  seq: number,
  plaintext: Uint8Array,
): number {
  const end = at + sealedLength(plaintext.length);
  writeHeaderAt(bytes, at, end, type, seq);
  writeU32(bytes, at + NONCE_OFFSET, seq);
  const prefixAt = at + SESSION_PREFIX_OFFSET;
  for (let i = 0; i < SESSION_PREFIX_LENGTH; i++) bytes[prefixAt + i] = sessionId[i] as number;
  bytes.set(plaintext, at + PLAINTEXT_OFFSET);
  return end;
}

/** True when the clear nonce is the one this session computes for the frame: checked before any decryption. */
export function nonceMatches(frame: Frame, sessionId: Uint8Array): boolean {
  if (readU32(frame.bytes, NONCE_OFFSET) !== frame.seq) return false;
  for (let i = 0; i < SESSION_PREFIX_LENGTH; i++) {
    if (frame.bytes[SESSION_PREFIX_OFFSET + i] !== sessionId[i]) return false;
  }
  return true;
}

/**
 * A number made of the first 6 bytes of the session id, from the id itself or from a frame's clear nonce: what a datagram server
 * routes by. The two bytes that it leaves out are checked by nonceMatches().
 */
export function sessionRoute(bytes: Uint8Array, offset = 0): number {
  return readU32(bytes, offset) + 2 ** 32 * ((bytes[offset + 4] as number) + 256 * (bytes[offset + 5] as number));
}

/** The route of a session frame; undefined when the frame is too short to be one. */
export function frameRoute(frame: Frame): number | undefined {
  return plaintextLength(frame.bytes) < 0 ? undefined : sessionRoute(frame.bytes, SESSION_PREFIX_OFFSET);
}

/** Opens a frame whose nonce was checked, into `plaintext`; undefined when the tag does not verify. */
export function openFrame(
  frame: Frame,
  key: RecordKey,
  plaintext: Uint8Array = new Uint8Array(plaintextLength(frame.bytes)),
): Uint8Array | undefined {
  return key.open(frame.bytes, plaintext) ? plaintext : undefined;
}
