/**
 * One key is used in two forms in the field, and they are two keys to HMAC: the raw bytes, and the hex digits that spell them, taken
 * as characters. Both are written here in the grammar of --psk, each with what it is.
 */
export interface KeyForms {
  /** "hex:" and digits: the bytes themselves. What the gateway holds. */
  readonly raw: string;
  readonly rawBytes: number;
  /** "text:" and the same digits as characters; undefined for a key that is not 32 bytes, which nobody writes so. */
  readonly text: string | undefined;
  /** True when C string functions would cut the raw form: it has a zero byte. */
  readonly cutInC: boolean;
}

/** Takes a key as the control socket gives it: 64 hex digits, or "hex:" and digits. */
export function keyForms(psk: string): KeyForms {
  const digits = hexDigits(psk);
  return {
    raw: `hex:${digits}`,
    rawBytes: digits.length / 2,
    text: digits.length === 64 ? `text:${digits}` : undefined,
    cutInC: /^(?:..)*?00/.test(digits),
  };
}

/** The hex digits of the raw form. */
export function hexDigits(psk: string): string {
  return psk.replace(/^hex:/, "").toLowerCase();
}

/** Both forms, named, in lines for people. */
export function describeKeyForms(psk: string): readonly string[] {
  const { raw, rawBytes, text, cutInC } = keyForms(psk);
  return [
    `RAW form, ${rawBytes} bytes in hex: this is the key (bytes.fromhex("…") in Python, a blob in NVS)`,
    `  ${raw}`,
    ...(cutInC ? ["  It has a zero byte: firmware that takes keys as C strings (Arduino) would cut it there."] : []),
    ...(text === undefined
      ? []
      : [
          "TEXT form, 64 characters: the same digits used as a string. HMAC sees another key, and it is refused where the raw form is held",
          `  ${text}`,
        ]),
  ];
}
