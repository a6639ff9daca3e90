import { constants, type FrameType, frameCrc, frameTypeName, payloadOf } from "@usmp/protocol";

const { MAGIC, MAX_PAYLOAD_LENGTH, VERSION } = constants;

/** The SDK's exceptions, by the name of their class. */
export class SdkError extends Error {
  override readonly name: SdkErrorName;

  constructor(name: SdkErrorName, message: string) {
    super(message);
    this.name = name;
  }
}

export type SdkErrorName =
  | "AuthError"
  | "CRCError"
  | "ConnectionClosedError"
  | "CryptoError"
  | "FrameError"
  | "HandshakeError"
  | "IncompleteReadError"
  | "MagicError"
  | "OSError"
  | "PayloadError"
  | "SequenceError"
  | "USMPTimeoutError"
  | "VersionError";

export interface SdkFrame {
  readonly type: FrameType;
  readonly seq: number;
  readonly payload: Uint8Array;
  /** The whole frame. */
  readonly bytes: Uint8Array;
}

/** decode_frame(): magic, version, length, then CRC unless told otherwise, then type. The handshake reads without the CRC. */
export function decodeSdkFrame(bytes: Uint8Array, verifyCrc: boolean): SdkFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  checkSdkHeader(bytes);
  if (bytes[2] !== VERSION) throw new SdkError("VersionError", `Unsupported version: ${bytes[2]}`);
  if (verifyCrc && view.getUint16(10, true) !== frameCrc(bytes)) throw new SdkError("CRCError", "CRC mismatch");
  const type = bytes[3] as FrameType;
  if (frameTypeName(type) === undefined) throw new SdkError("FrameError", `Unknown packet type: ${type}`);
  return { type, seq: view.getUint32(4, true), payload: payloadOf({ type, seq: 0, bytes }), bytes };
}

/** What read_frame() checks before it reads the payload; answers the payload's length. */
export function checkSdkHeader(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (view.getUint16(0, true) !== MAGIC) throw new SdkError("MagicError", "Bad magic");
  const length = view.getUint16(8, true);
  if (length > MAX_PAYLOAD_LENGTH) throw new SdkError("PayloadError", `Payload too large: ${length}`);
  return length;
}
