import { Secret } from "@usmp/protocol";
import { expect, test } from "vitest";
import { wrongForms } from "../../src/keys/forms.ts";

const DIGITS = "b845e1d81eeedd10d1abb64e63fec7deeb9649056d105cc0045dfb47825dd0d2";
const forms = (key: Uint8Array): [string, string][] =>
  wrongForms(new Secret(key)).map(({ form, key: wrong }) => [form, Buffer.from(wrong.expose()).toString("latin1")]);

test("32 bytes may be held as text, in capitals, or with a line end behind the bytes or the text", () => {
  const raw = Buffer.from(DIGITS, "hex").toString("latin1");
  expect(forms(Buffer.from(DIGITS, "hex"))).toEqual([
    ["text", DIGITS],
    ["upper-case-text", DIGITS.toUpperCase()],
    ["trailing-newline", `${raw}\n`],
    ["trailing-newline", `${DIGITS}\n`],
    ["trailing-newline", `${raw}\r\n`],
    ["trailing-newline", `${DIGITS}\r\n`],
  ]);
});

test.each([DIGITS, DIGITS.toUpperCase()])(
  "a text of hex digits may be held as the bytes that it spells: %s",
  (digits) => {
    expect(forms(Buffer.from(digits))).toContainEqual(["hex-decoded", Buffer.from(DIGITS, "hex").toString("latin1")]);
  },
);

test("other texts spell no bytes", () => {
  for (const text of ["a passphrase of more than 32 bytes", `${DIGITS}0`, "0123456789abcdef"]) {
    expect(forms(Buffer.from(text)).map(([form]) => form)).not.toContain("hex-decoded");
  }
});

test("a key with a zero byte may be held up to it, unless only zeros follow: that is the same key to HMAC", () => {
  expect(forms(Buffer.from("0102000304", "hex"))).toContainEqual(["cut-at-zero", "\x01\x02"]);
  for (const same of ["01020000", "010203", "0001"]) {
    expect(forms(Buffer.from(same, "hex")).map(([form]) => form)).not.toContain("cut-at-zero");
  }
});

test("the key itself is left alone", () => {
  const key = new Secret(Buffer.from(DIGITS, "hex"));
  for (const { key: wrong } of wrongForms(key)) wrong.wipe();
  expect(Buffer.from(key.expose()).toString("hex")).toBe(DIGITS);
});
