import {
  constants,
  decodeFrame,
  decodeUtack,
  FrameType,
  frameCrc,
  frameTypeName,
  isSessionType,
  type Violation,
} from "@usmp/protocol";
import { formatDeviceId } from "usmp";
import { type Check, type Field, FieldCutter, failed, passed, skipped } from "./explanation.ts";

/** The fields of a frame, whatever is wrong with it, and the checks of its framing in the order in which a receiver makes them. */
export function dissectFrame(bytes: Uint8Array): { fields: readonly Field[]; checks: readonly Check[] } {
  return { fields: frameFields(bytes), checks: framingChecks(bytes) };
}

export function dissectUtack(bytes: Uint8Array): { fields: readonly Field[]; checks: readonly Check[] } {
  const cutter = new FieldCutter(bytes)
    .cut("magic", 2, () => "0xACAC: a UTACK (spec section 6)")
    .cut("type", 1, ([type = 0]) => `acknowledges ${frameTypeName(type) ?? "no known type"}`)
    .cut("seq", 4, (field) => `${littleEndian(field)}`)
    .cut("mac", constants.UTACK_MAC_LENGTH, () => "first 8 bytes of HMAC-SHA256(key of the frame, the 7 bytes before)");
  if (cutter.left > 0) cutter.cut("excess", cutter.left, () => "no part of a UTACK");
  const form = "form";
  const check =
    decodeUtack(bytes) === undefined
      ? failed(form, `${bytes.length} bytes for this type; 7 for a handshake frame's, 15 for a session frame's`)
      : passed(form, `${bytes.length} bytes, as the type demands`);
  return { fields: cutter.fields, checks: [check] };
}

function frameFields(bytes: Uint8Array): readonly Field[] {
  const cutter = new FieldCutter(bytes)
    .cut("magic", 2, (field) => hexNumber(field))
    .cut("version", 1, ([version]) => `${version}`)
    .cut("type", 1, ([type = 0]) => frameTypeName(type) ?? "no known type")
    .cut("seq", 4, (field) => `${littleEndian(field)}`)
    .cut("length", 2, (field) => `${littleEndian(field)} bytes of payload`)
    .cut("crc", 2, (field) => hexNumber(field));
  cutPayload(cutter, bytes[3] ?? 0);
  if (cutter.left > 0) cutter.cut("excess", cutter.left, () => "no part of this type's payload");
  return cutter.fields;
}

function cutPayload(cutter: FieldCutter, type: number): void {
  switch (type) {
    case FrameType.HELLO:
      cutter
        .cut("device_id", constants.DEVICE_ID_LENGTH, (id) => formatDeviceId(id))
        .cut("pub_C", 32, () => "the client's X25519 public key");
      if (cutter.left > 0) cutter.cut("cookie", constants.COOKIE_LENGTH, () => "from HELLO_RETRY: this is UDP");
      return;
    case FrameType.HELLO_RETRY:
      cutter.cut("cookie", constants.COOKIE_LENGTH, () => "to be sent back in HELLO: this is UDP");
      return;
    case FrameType.CHALLENGE:
      cutter
        .cut("nonce", 32, () => "salt of the session keys")
        .cut("pub_S", 32, () => "the server's X25519 public key");
      return;
    case FrameType.HELLO_ACK:
      cutter.cut("proof", 32, () => "HMAC(PSK, CD AB 02 03 || nonce || device_id || pub_C || pub_S)");
      return;
    case FrameType.SESSION_OK:
      cutter
        .cut("session_id", 16, () => "its first 8 bytes are in every nonce")
        .cut("proof", 32, () => "HMAC(PSK, CD AB 02 04 || nonce || session_id || pub_C || pub_S)");
      return;
    case FrameType.ERROR:
      cutter.cut("payload", cutter.left, () => "ERROR is reserved: unauthenticated, it changes nothing");
      return;
    default:
      if (isSessionType(type)) cutSealed(cutter);
  }
}

function cutSealed(cutter: FieldCutter): void {
  cutter
    .cut("nonce.seq", 4, (field) => `${littleEndian(field)}`)
    .cut("nonce.session", 8, () => "first half of the session id")
    .cut("ciphertext", Math.max(0, cutter.left - constants.TAG_LENGTH), (field) => `${field.length} bytes, AES-256-GCM`)
    .cut("tag", constants.TAG_LENGTH, () => "over header bytes 0 to 9 and the ciphertext");
}

/** What a receiver checks of any frame, in its order: at the first failure it stops, before all cryptography (P6). */
function framingChecks(bytes: Uint8Array): Check[] {
  const decoded = decodeFrame(bytes);
  const violation = typeof decoded === "string" ? decoded : undefined;
  const announced = constants.HEADER_LENGTH + (bytes.length < 10 ? 0 : littleEndian(bytes.subarray(8, 10)));
  const headerMissing = bytes.length < constants.HEADER_LENGTH;
  const crc = headerMissing ? 0 : littleEndian(bytes.subarray(10, 12));
  const steps: readonly Step[] = [
    ["header", headerMissing ? "truncated" : undefined, `${bytes.length} bytes`, `${bytes.length} of 12 bytes`],
    ["magic", "bad-magic", "0xABCD", "not 0xABCD (CD AB on the wire)"],
    ["version", "unsupported-version", "2", `${bytes[2]}; only 2 is known`],
    ["length", "oversized-payload", "at most 480", `${announced - 12}; at most 480`],
    [
      "complete",
      headerMissing ? undefined : "truncated",
      "the announced payload is there",
      `${bytes.length} of ${announced} bytes are there`,
    ],
    [
      "nothing behind",
      "trailing-bytes",
      "the frame ends with its payload",
      `${bytes.length - announced} bytes behind the frame`,
    ],
    [
      "crc",
      "bad-crc",
      `found and computed ${hex16(crc)}`,
      `found ${hex16(crc)}, computed ${hex16(frameCrc(bytes))}; a receiver stops here, before any cryptography`,
    ],
    ["type", "unknown-type", "known", `0x${(bytes[3] ?? 0).toString(16).padStart(2, "0")} is no frame type`],
  ];
  const reached = violation === undefined ? steps.length : steps.findIndex(([, code]) => code === violation);
  return steps.map(([name, , good, problem], index) => {
    if (index < reached) return passed(name, good);
    return index === reached ? failed(name, problem) : skipped(name, "a receiver does not come this far");
  });
}

/** Name, the violation that its failure is, what is good, what is wrong. */
type Step = readonly [name: string, violation: Violation | undefined, good: string, problem: string];

export function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

function hexNumber(field: Uint8Array): string {
  return hex16(littleEndian(field));
}

function hex16(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(4, "0")}`;
}
