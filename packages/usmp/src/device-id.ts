import { constants, copyBytes, UsageError } from "@usmp/protocol";

const TEXT_FORM = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** The six bytes of a device id that is given as such or as "aa:bb:cc:dd:ee:ff". Throws UsageError "invalid-option". */
export function parseDeviceId(deviceId: string | Uint8Array, field = "deviceId"): Uint8Array {
  if (typeof deviceId === "string") {
    // A copy, because small Buffers are views of a pool.
    if (TEXT_FORM.test(deviceId)) return copyBytes(Buffer.from(deviceId.replaceAll(":", ""), "hex"));
    throw new UsageError(
      "invalid-option",
      `${field} ${JSON.stringify(deviceId)} is no device id; write six bytes of two hex digits as aa:bb:cc:dd:ee:ff`,
    );
  }
  if (deviceId.length === constants.DEVICE_ID_LENGTH) return copyBytes(deviceId);
  throw new UsageError("invalid-option", `${field} has ${deviceId.length} bytes; it must have 6`);
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
