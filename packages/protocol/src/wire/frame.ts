import { CRC_OFFSET, HEADER_LENGTH, MAGIC, MAX_PAYLOAD_LENGTH, VERSION } from "../constants.ts";
import type { Violation } from "../errors.ts";
import { readU16, readU32, writeU16, writeU32 } from "./bytes.ts";
import { crc16 } from "./crc16.ts";

/** Frame types of spec section 2. */
export const FrameType = {
  HELLO: 0x01,
  CHALLENGE: 0x02,
  HELLO_ACK: 0x03,
  SESSION_OK: 0x04,
  DATA: 0x05,
  PING: 0x06,
  PONG: 0x07,
  BYE: 0x08,
  DATA_FRAG: 0x09,
  HELLO_RETRY: 0x0a,
  REKEY: 0x0b,
  ERROR: 0xff,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];
export type FrameTypeName = keyof typeof FrameType;

const NAMES = new Map<number, FrameTypeName>(
  Object.entries(FrameType).map(([name, code]) => [code, name as FrameTypeName]),
);

/** The name of a frame type, or undefined for a byte that is none. */
export function frameTypeName(type: number): FrameTypeName | undefined {
  return NAMES.get(type);
}

/** True for the types that exist only sealed: DATA, PING, PONG, BYE, DATA_FRAG, REKEY. */
export function isSessionType(type: number): boolean {
  return (type >= FrameType.DATA && type <= FrameType.DATA_FRAG) || type === FrameType.REKEY;
}

/** A frame whose framing is known good: magic, version, type, length and CRC were checked. */
export interface Frame {
  readonly type: FrameType;
  readonly seq: number;
  /** The whole frame, a view into the receive buffer: valid until the next chunk is handled. */
  readonly bytes: Uint8Array;
}

/** The payload of a frame, a view. */
export function payloadOf(frame: Frame): Uint8Array {
  return frame.bytes.subarray(HEADER_LENGTH);
}

/** Payload length that a header announces; at least HEADER_LENGTH bytes must be there at `offset`. */
export function announcedPayloadLength(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset + 8);
}

/** Where in a frame the field lies that a violation is about (spec section 2); 0 when it is about the frame as a whole. */
export function violationOffset(violation: Violation): number {
  return FIELD_OFFSET[violation] ?? 0;
}

const FIELD_OFFSET: { readonly [Name in Violation]?: number } = {
  "unsupported-version": 2,
  "unknown-type": 3,
  "unexpected-type": 3,
  "unexpected-sequence": 4,
  "oversized-payload": 8,
  "bad-length": 8,
  "bad-crc": CRC_OFFSET,
  "bad-nonce": HEADER_LENGTH,
};

/** Checks what 12 header bytes can show before any payload is there; undefined when nothing is wrong. */
export function headerViolation(bytes: Uint8Array, offset: number): Violation | undefined {
  if (readU16(bytes, offset) !== MAGIC) return "bad-magic";
  if (bytes[offset + 2] !== VERSION) return "unsupported-version";
  if (announcedPayloadLength(bytes, offset) > MAX_PAYLOAD_LENGTH) return "oversized-payload";
  return undefined;
}

/**
 * Decodes exactly one frame (one datagram, or one frame cut from a stream); the order of checks is that of `Violation`.
 * Any bytes give a frame or a violation; nothing is thrown, nothing is copied.
 */
export function decodeFrame(bytes: Uint8Array): Frame | Violation {
  if (bytes.length < HEADER_LENGTH) return "truncated";
  const wrong = headerViolation(bytes, 0);
  if (wrong !== undefined) return wrong;
  const end = HEADER_LENGTH + announcedPayloadLength(bytes, 0);
  if (bytes.length < end) return "truncated";
  if (bytes.length > end) return "trailing-bytes";
  if (frameCrc(bytes) !== readU16(bytes, CRC_OFFSET)) return "bad-crc";
  const type = bytes[3] as number;
  if (!NAMES.has(type)) return "unknown-type";
  return { type: type as FrameType, seq: readU32(bytes, 4), bytes };
}

/** CRC-16/IBM over bytes 0..9 and the payload (spec section 2). */
export function frameCrc(frame: Uint8Array): number {
  return crc16(frame, HEADER_LENGTH, frame.length, crc16(frame, 0, CRC_OFFSET));
}

/** Writes header bytes 0..9: all that the AAD covers. `frame` is the whole frame; its length gives the length field. */
export function writeHeader(frame: Uint8Array, type: FrameType, seq: number): void {
  writeHeaderAt(frame, 0, frame.length, type, seq);
}

/** The same for a frame that takes bytes[start..end). */
export function writeHeaderAt(bytes: Uint8Array, start: number, end: number, type: FrameType, seq: number): void {
  writeU16(bytes, start, MAGIC);
  bytes[start + 2] = VERSION;
  bytes[start + 3] = type;
  writeU32(bytes, start + 4, seq);
  writeU16(bytes, start + 8, end - start - HEADER_LENGTH);
}

/** Writes the CRC field; everything else in the frame must be final. */
export function writeCrc(frame: Uint8Array): void {
  writeU16(frame, CRC_OFFSET, frameCrc(frame));
}

/** A whole plaintext frame (handshake, UDP retry) around a copy of `payload`. */
export function encodeFrame(type: FrameType, seq: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_LENGTH + payload.length);
  frame.set(payload, HEADER_LENGTH);
  writeHeader(frame, type, seq);
  writeCrc(frame);
  return frame;
}
