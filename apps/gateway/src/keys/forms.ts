import type { Secret } from "@usmp/protocol";

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
