import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asText, display, escapeUnprintable, jsonLine } from "../src/printable.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
// Written by code point: an editor must not turn these into something harmless.
const CLEAR_SCREEN = `${String.fromCodePoint(0x1b)}[2J`;
const C1_CSI = String.fromCodePoint(0x9b);
const RIGHT_TO_LEFT_OVERRIDE = String.fromCodePoint(0x202e);
const LINE_SEPARATOR = String.fromCodePoint(0x2028);

const isHarmless = (text: string) =>
  [...text].every((character) => {
    const code = character.codePointAt(0) as number;
    return code >= 0x20 && (code < 0x7f || code > 0x9f) && ![0x2028, 0x2029, 0x202e, 0xfeff].includes(code);
  });

describe("messages from peers", () => {
  test("UTF-8 text is shown as it is", () => {
    for (const text of ["", "hello", "21.5 °C", "größe", "温度", "🌡️", "نمی‌دانم"])
      expect(display(bytes(text))).toBe(text);
  });

  test("tabs and line ends are shown by their escapes, so that a message stays one line", () => {
    expect(display(bytes("a\tb\r\nc"))).toBe("a\\tb\\r\\nc");
    expect(asText(bytes("a\nb"))).toBe("a\nb");
  });

  test.each([
    ["an escape sequence", bytes(CLEAR_SCREEN)],
    ["a bell", Uint8Array.of(7)],
    ["DEL", Uint8Array.of(0x7f)],
    ["a C1 control", bytes(C1_CSI)],
    ["a bidirectional override", bytes(RIGHT_TO_LEFT_OVERRIDE)],
    ["a line separator", bytes(LINE_SEPARATOR)],
    ["a byte order mark", Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)],
    ["a zero", Uint8Array.of(0x41, 0)],
    ["bytes that are not UTF-8", Uint8Array.of(0xc3, 0x28)],
    ["an overlong form", Uint8Array.of(0xc0, 0x80)],
    ["a surrogate", Uint8Array.of(0xed, 0xa0, 0x80)],
  ])("%s is shown as hex", (_, message) => {
    expect(asText(message)).toBeUndefined();
    expect(display(message)).toBe(`hex:${Buffer.from(message).toString("hex")}`);
  });

  test("whatever bytes come, what is shown is one line without controls", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (message) => isHarmless(display(message))));
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => isHarmless(display(bytes(text)))));
  });
});

describe("JSON lines", () => {
  test("hold no control character and parse back to the same text", () => {
    for (const text of [CLEAR_SCREEN, C1_CSI, RIGHT_TO_LEFT_OVERRIDE, LINE_SEPARATOR, "🌡️", "\u{e0001}"]) {
      const line = jsonLine({ text });
      expect(isHarmless(line), line).toBe(true);
      expect(JSON.parse(line)).toEqual({ text });
    }
  });

  test("hold for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const line = jsonLine({ text });
        return isHarmless(line) && (JSON.parse(line) as { text: string }).text === text;
      }),
    );
  });
});

test("text of foreign origin shows what is unprintable in it", () => {
  expect(escapeUnprintable(`no such file: ${CLEAR_SCREEN}`)).toBe("no such file: \\u{1b}[2J");
});
