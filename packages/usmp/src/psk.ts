import { constants, Secret, UsageError } from "@usmp/protocol";
import { publishedKey } from "./published-keys.ts";

/**
 * The grammar in which people write a pre-shared key, and the two policies on what may be used as one:
 * admitPsk() is what connect() and listen() enforce; checkKeyStrength() is for programs that take keys from people.
 */

/** A key as given by a person, and which form of the grammar it was in. */
export interface ParsedKey {
  readonly form: "hex" | "text";
  /** The caller's to wipe. */
  readonly key: Secret;
}

/**
 * Parses a written key: 64 hex digits, or "hex:" and any even number of them, are bytes; all else is text, which goes as UTF-8;
 * "text:" forces text. Takes UTF-8 bytes, so that a key from a file never becomes a string that cannot be wiped.
 * Throws UsageError "invalid-key"; `field` is what the user knows the key by, such as "--psk-file".
 */
export function parseKey(written: Uint8Array, field = "psk"): ParsedKey {
  if (startsWith(written, HEX_PREFIX))
    return { form: "hex", key: decodeHex(written.subarray(HEX_PREFIX.length), field) };
  if (startsWith(written, TEXT_PREFIX)) return parseText(written.subarray(TEXT_PREFIX.length), field);
  if (written.length === BARE_HEX_DIGITS && isHex(written)) return { form: "hex", key: decodeHex(written, field) };
  return parseText(written, field);
}

/** True when a text key consists of hex digits alone: its owner may have meant bytes. */
export function looksLikeHex({ form, key }: ParsedKey): boolean {
  return form === "text" && isHex(key.expose());
}

/**
 * What every session demands of its key: 16 bytes (spec section 3), and no published one (P7) unless `development`. Throws
 * UsageError "invalid-key" or "weak-key".
 */
export function admitPsk(
  psk: Secret,
  { development = false }: { readonly development?: boolean | undefined } = {},
  field = "psk",
): void {
  if (psk.length < constants.MIN_PSK_LENGTH) {
    throw invalidKey(
      field,
      `has ${psk.length} bytes, and less than ${constants.MIN_PSK_LENGTH} are never used (spec section 3)`,
      'make one of 32 random bytes with "usmp keygen"',
    );
  }
  if (development) return;
  const published = publishedKey(psk);
  if (published === undefined) return;
  const what = published === "development" ? "the published development key" : "printed in public documentation";
  throw new UsageError(
    "weak-key",
    `${field}: the key is ${what}, so everyone knows it; make your own with "usmp keygen", ` +
      "or on a bench ask for development mode by name (--dev; in the library development: true)",
  );
}

export interface StrengthPolicy {
  /** Lets published keys in, the development key among them. */
  readonly development?: boolean | undefined;
  /** Lets short and guessable keys in, but no published one and none under 16 bytes. */
  readonly allowWeak?: boolean | undefined;
  /** Estimates how many bits a guesser must search to find a text; it comes from outside because a good one is megabytes of words. */
  readonly estimateTextBits: (text: string) => number | Promise<number>;
}

/**
 * admitPsk(), and besides refuses what whoever hears one handshake could find by guessing: published examples, keys under
 * 32 bytes, and keys whose estimate is under 100 bits. HELLO_ACK is an HMAC under the key over public values, so a heard one lets
 * keys be tried offline, 10^7 a second on two CPU cores. Throws UsageError "invalid-key" or "weak-key".
 */
export async function checkKeyStrength({ key }: ParsedKey, policy: StrengthPolicy, field = "psk"): Promise<void> {
  admitPsk(key, policy, field);
  if (publishedKey(key) !== undefined) return; // in development mode, or it would have been refused
  const significant = significantPart(key.expose()).length;
  if (significant < constants.MIN_PSK_LENGTH) {
    throw invalidKey(
      field,
      `has ${significant} bytes before zeros that HMAC adds by itself, and less than ${constants.MIN_PSK_LENGTH} are never used`,
      'make one of 32 random bytes with "usmp keygen"',
    );
  }
  if (policy.allowWeak) return;
  if (key.length < STRONG_KEY_LENGTH) {
    throw weakKey(field, `has ${key.length} bytes, and a strong key has ${STRONG_KEY_LENGTH}`, ALLOW_WEAK);
  }
  const bits = await estimateKeyBits(key.expose(), policy.estimateTextBits);
  if (bits < STRONG_KEY_BITS) {
    const estimate = `an estimated ${Math.floor(bits)} bits where ${STRONG_KEY_BITS} are right`;
    throw weakKey(field, `can be guessed (${estimate})`, ALLOW_WEAK);
  }
}

/**
 * How many bits a guesser has to search, whatever form the key was written in: bytes that are readable text are judged as text,
 * others by how they repeat. An upper bound for a pattern that this does not know, never a proof of randomness.
 */
export async function estimateKeyBits(
  key: Uint8Array,
  estimateTextBits: StrengthPolicy["estimateTextBits"],
): Promise<number> {
  const significant = significantPart(key);
  const patternBits = Math.min(
    8 * shortestPeriod(significant),
    entropyBits(key, (index) => key[index] as number),
    entropyBits(key, (index) => (key[index] as number) - (key[index - 1] ?? 0)),
  );
  const text = readableText(significant);
  return text === undefined ? patternBits : Math.min(patternBits, await estimateTextBits(text));
}

const STRONG_KEY_LENGTH = 32;
const STRONG_KEY_BITS = 100;
const BARE_HEX_DIGITS = 64;
const HEX_PREFIX = ascii("hex:");
const TEXT_PREFIX = ascii("text:");
const ALLOW_WEAK = "pass --allow-weak to use it all the same";

function weakKey(field: string, problem: string, exception: string): UsageError {
  return new UsageError(
    "weak-key",
    `${field}: the key ${problem}; whoever hears one HELLO_ACK can search such keys offline; ` +
      `make a strong one with "usmp keygen", or ${exception}`,
  );
}

function parseText(text: Uint8Array, field: string): ParsedKey {
  if (text.length === 0) throw invalidKey(field, "is empty", 'make one with "usmp keygen"');
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(text);
  } catch {
    throw invalidKey(field, "is not UTF-8 text", "write its bytes as hex digits behind hex:");
  }
  const control = text.findIndex((byte) => byte < 0x20 || byte === 0x7f);
  if (control !== -1) {
    const name = text[control] === 0x0a ? "a line break" : "a control character";
    throw invalidKey(
      field,
      `has ${name} at position ${control + 1}`,
      "take it out, or write the bytes as hex digits behind hex:",
    );
  }
  return { form: "text", key: new Secret(text) };
}

function decodeHex(digits: Uint8Array, field: string): Secret {
  const wrong = digits.findIndex((digit) => hexValue(digit) === -1);
  if (wrong !== -1)
    throw invalidKey(
      field,
      `has no hex digit at position ${wrong + 1} after hex:`,
      "use 0-9 and a-f only, with no spaces",
    );
  if (digits.length % 2 !== 0)
    throw invalidKey(field, `has ${digits.length} hex digits, an odd number`, "write two for each byte");
  const bytes = new Uint8Array(new ArrayBuffer(digits.length / 2));
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = hexValue(digits[2 * i] as number) * 16 + hexValue(digits[2 * i + 1] as number);
  return Secret.adopt(bytes);
}

function invalidKey(field: string, problem: string, fix: string): UsageError {
  return new UsageError("invalid-key", `${field}: the key ${problem}; ${fix}`);
}

/** Zeros at the end are no part of the key: HMAC adds them itself (RFC 2104). */
function significantPart(key: Uint8Array): Uint8Array {
  return key.subarray(0, key.findLastIndex((byte) => byte !== 0) + 1);
}

/** The number of bytes after which the key begins to repeat itself; its length when it does not. */
function shortestPeriod(key: Uint8Array): number {
  for (let period = 1; period < key.length; period++) {
    if (key.every((byte, index) => index < period || byte === key[index - period])) return period;
  }
  return key.length;
}

/**
 * Shannon entropy of the values at all positions, taken together. 32 random bytes show about 155 of their 256 bits this way,
 * the lowest of 200,000 showed 140.
 */
function entropyBits(key: Uint8Array, valueAt: (index: number) => number): number {
  const counts = new Map<number, number>();
  for (let index = 0; index < key.length; index++) {
    const value = valueAt(index) & 0xff;
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  let bits = 0;
  for (const count of counts.values()) bits += count * Math.log2(key.length / count);
  return bits;
}

/** The key as text, when it is text that could have been typed. */
function readableText(key: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(key);
    return /[\p{Cc}\p{Cn}\p{Co}]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function isHex(bytes: Uint8Array): boolean {
  return bytes.every((byte) => hexValue(byte) !== -1);
}

function hexValue(digit: number): number {
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30;
  const letter = digit | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, index) => bytes[index] === byte);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
