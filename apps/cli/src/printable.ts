/**
 * What a terminal could take for more than text: controls (C0, DEL, C1), formats (bidirectional overrides), line and paragraph
 * separators, surrogates, private and unassigned characters. Bytes from a peer that hold one are never written raw.
 * The joiners U+200C and U+200D are formats too, but letters of living scripts need them.
 */
const UNPRINTABLE = /[\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{C}/u;
const EVERY_UNPRINTABLE: RegExp = new RegExp(UNPRINTABLE, "gu");

/** Layout that text messages have; it is shown by its escape, so that a message stays one line. */
const LAYOUT: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** The bytes as text, when they are UTF-8 and hold nothing unprintable but tabs and line ends; undefined else. */
export function asText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return UNPRINTABLE.test(text.replaceAll(/[\t\n\r]/g, "")) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** One line for people: the text, with \t, \n and \r for what those are, or "hex:" and the bytes. */
export function display(bytes: Uint8Array): string {
  const text = asText(bytes);
  return text === undefined
    ? `hex:${toHex(bytes)}`
    : text.replaceAll(/[\t\n\r]/g, (character) => LAYOUT[character] as string);
}

/** Text of foreign origin (an error message, a file name) with everything unprintable as \u{...}. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(EVERY_UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

/** JSON in one line of printable characters: JSON.stringify leaves DEL, C1 and formats as they are, and terminals obey some of them. */
export function jsonLine(value: unknown): string {
  return escapeEveryUnprintable(JSON.stringify(value));
}

/** For what is JSON already. */
export function escapeEveryUnprintable(json: string): string {
  return json.replaceAll(EVERY_UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, unit) => unicodeEscape(character.charCodeAt(unit))).join(""),
  );
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

function unicodeEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}
