import { createHash } from "node:crypto";
import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { canonicalHmacKey, isAllZero, rekeyInfo, sessionKeyInfo } from "../../src/crypto/key-schedule.ts";
import { Secret } from "../../src/crypto/secret.ts";
import { filled } from "../support/fixtures.ts";
import { toHex } from "../support/hex.ts";

const sha256 = (data: Uint8Array): Uint8Array => createHash("sha256").update(data).digest();

it("the HKDF info of a session is its label and both public keys, client's first", () => {
  const info = sessionKeyInfo(filled(32, 0xcc), filled(32, 0x55));
  expect(toHex(info)).toBe(`${Buffer.from("usmp-v2").toString("hex")}${"cc".repeat(32)}${"55".repeat(32)}`);
});

it("the HKDF info of a rekey is its label and the whole session id", () => {
  expect(toHex(rekeyInfo(filled(16, 0x11)))).toBe(`${Buffer.from("usmp-rekey").toString("hex")}${"11".repeat(16)}`);
});

describe("two keys have one canonical form exactly when HMAC cannot tell them apart:", () => {
  const short = filled(16, 7);
  const long = filled(65, 7);
  const cases = [
    { what: "K and K||00", a: short, b: Uint8Array.from([...short, 0]), same: true },
    {
      what: "64 bytes and 63 with a zero behind",
      a: filled(63, 7),
      b: Uint8Array.from([...filled(63, 7), 0]),
      same: true,
    },
    { what: "65 bytes and their SHA-256", a: long, b: sha256(long), same: true },
    { what: "64 bytes and their SHA-256", a: filled(64, 7), b: sha256(filled(64, 7)), same: false },
    { what: "64 bytes and 65", a: filled(64, 0), b: filled(65, 0), same: false },
    { what: "two keys", a: short, b: filled(16, 8), same: false },
  ];

  it.each(cases)("$what: $same", ({ a, b, same }) => {
    const macOf = (key: Uint8Array): string => toHex(defaultCrypto().hmacSha256(new Secret(key), [filled(3, 1)]));
    expect(toHex(canonicalHmacKey(a, sha256)) === toHex(canonicalHmacKey(b, sha256))).toBe(same);
    expect(macOf(a) === macOf(b)).toBe(same);
  });
});

it("a secret is all zero only when every byte is", () => {
  expect(isAllZero(new Secret(filled(32, 0)))).toBe(true);
  for (let at = 0; at < 32; at++) {
    const bytes = filled(32, 0);
    bytes[at] = 0x80;
    expect(isAllZero(new Secret(bytes))).toBe(false);
  }
});
