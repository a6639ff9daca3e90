import { constants, copyBytes, UsageError } from "@usmp/protocol";

const TEXT_FORM = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** The six bytes of a device id that is given as such or as "aa:bb:cc:dd:ee:ff". Throws UsageError "invalid-option". */
export function parseDeviceId(deviceId: string | Uint8Array, field = "deviceId"): Uint8Array {
  if (typeof deviceId === "string") {
    if (TEXT_FORM.test(deviceId)) return bytesOf(deviceId);
    throw new UsageError(
      "invalid-option",
      `${field} ${JSON.stringify(deviceId)} is no device id; write six bytes of two hex digits as aa:bb:cc:dd:ee:ff`,
    );
  }
  if (deviceId.length === constants.DEVICE_ID_LENGTH) return copyBytes(deviceId);
  throw new UsageError("invalid-option", `${field} has ${deviceId.length} bytes; it must have 6`);
}

/** By hand: a server does it twice for each session, and a Buffer of hex digits costs it 4 us. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(constants.DEVICE_ID_LENGTH);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = 16 * digitOf(text.charCodeAt(3 * i)) + digitOf(text.charCodeAt(3 * i + 1));
  }
  return bytes;
}

/** The value of an ASCII hex digit: letters, of either case, lie 9 above what their low bits say. */
function digitOf(code: number): number {
  return (code & 15) + (code > 57 ? 9 : 0);
}

/** "aa:bb:cc:dd:ee:ff". */
export function formatDeviceId(deviceId: Uint8Array): string {
  return joinHex(deviceId, ":");
}

/** Hex digits, two for each byte. */
export function formatHex(bytes: Uint8Array): string {
  return joinHex(bytes, "");
}

const HEX_BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** join() and not +=: V8 would keep the latter as a chain of pieces, four times the memory, for as long as the session lives. */
function joinHex(bytes: Uint8Array, separator: string): string {
  const digits: string[] = [];
  for (const byte of bytes) digits.push(HEX_BYTES[byte] as string);
  return digits.join(separator);
}
