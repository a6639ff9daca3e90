import { Secret } from "@usmp/protocol";

/**
 * How a device may hold the right key in a wrong form. The field makes keys with token_hex(32) and uses them as 64 characters of text on
 * Arduino and C, elsewhere as 32 raw bytes.
 */
export type KeyForm =
  | "text" // the device holds the 64 hex digits as text; the gateway holds bytes
  | "hex-decoded" // the device decoded to bytes what the gateway holds as text
  | "upper-case-text" // as "text", with A-F
  | "trailing-newline" // its bytes, or its text, with a line end behind
  | "cut-at-zero"; // the bytes up to the first zero byte, as C string functions take them

export interface WrongForm {
  readonly form: KeyForm;
  /** The caller's to wipe. */
  readonly key: Secret;
}

/**
 * The forms in which a device may hold `key` by mistake, likely ones first; for diagnosis, never to accept. None is the key itself as
 * HMAC sees it (a key cut where only zeros follow is the same key).
 */
export function wrongForms(key: Secret): readonly WrongForm[] {
  const bytes = key.expose();
  const forms: WrongForm[] = [];
  const add = (form: KeyForm, value: Uint8Array): void => {
    forms.push({ form, key: new Secret(value) });
    value.fill(0);
  };
  const digits = (upperCase: boolean): Buffer => hexDigits(bytes, upperCase);
  add("text", digits(false));
  if (isHexText(bytes)) add("hex-decoded", decodeHex(bytes));
  add("upper-case-text", digits(true));
  for (const lineEnd of LINE_ENDS) {
    add("trailing-newline", joined(bytes, lineEnd));
    const text = digits(false);
    add("trailing-newline", joined(text, lineEnd));
    text.fill(0);
  }
  const zero = bytes.indexOf(0);
  if (zero > 0 && bytes.subarray(zero).some((byte) => byte !== 0)) {
    add("cut-at-zero", joined(bytes.subarray(0, zero), NOTHING));
  }
  return forms;
}

const NOTHING = new Uint8Array(0);
const LINE_ENDS: readonly Uint8Array[] = [Uint8Array.of(0x0a), Uint8Array.of(0x0d, 0x0a)];
const LOWER = Buffer.from("0123456789abcdef");
const UPPER = Buffer.from("0123456789ABCDEF");

/** Not by way of a string, which could not be wiped. */
function hexDigits(bytes: Uint8Array, upperCase: boolean): Buffer {
  const alphabet = upperCase ? UPPER : LOWER;
  const out = Buffer.alloc(2 * bytes.length);
  bytes.forEach((byte, index) => {
    out[2 * index] = alphabet[byte >> 4] as number;
    out[2 * index + 1] = alphabet[byte & 15] as number;
  });
  return out;
}

function isHexText(bytes: Uint8Array): boolean {
  return bytes.length >= 32 && bytes.length % 2 === 0 && bytes.every((byte) => hexValue(byte) !== -1);
}

function decodeHex(digits: Uint8Array): Uint8Array {
  const out = new Uint8Array(digits.length / 2);
  for (let index = 0; index < out.length; index++) {
    out[index] = hexValue(digits[2 * index] as number) * 16 + hexValue(digits[2 * index + 1] as number);
  }
  return out;
}

function hexValue(digit: number): number {
  const lower = LOWER.indexOf(digit);
  return lower === -1 ? UPPER.indexOf(digit) : lower;
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const out = new Uint8Array(head.length + tail.length);
  out.set(head);
  out.set(tail, head.length);
  return out;
}
