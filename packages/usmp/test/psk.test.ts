import { createHash } from "node:crypto";
import { Secret, UsageError } from "@usmp/protocol";
import { describe, expect, test } from "vitest";
import {
  admitPsk,
  checkKeyStrength,
  estimateKeyBits,
  looksLikeHex,
  type ParsedKey,
  parseKey,
  type StrengthPolicy,
} from "../src/psk.ts";
import { PUBLISHED_KEY_TEXTS } from "../src/published-keys.ts";

const STRONG_TEST_KEY_HEX = "4f00c76b64f4f9f4410580132d3fec12c1cdafcf3fdfbe17bca60d36bb2be2a6";
const DEVELOPMENT_KEY = "usmp-dev-psk-change-me-before-prod";
const bytes = (text: string) => new TextEncoder().encode(text);
const hexOf = (data: Uint8Array) => Buffer.from(data).toString("hex");
const fromHex = (digits: string) => Uint8Array.from(Buffer.from(digits, "hex"));
const parse = (written: string) => parseKey(bytes(written), "--psk");
const bytesKey = (key: Uint8Array): ParsedKey => ({ form: "hex", key: new Secret(key) });

function failure(run: () => unknown): UsageError {
  try {
    run();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("grammar", () => {
  test("64 hex digits in either case are 32 bytes", () => {
    for (const digits of [STRONG_TEST_KEY_HEX, STRONG_TEST_KEY_HEX.toUpperCase()]) {
      const parsed = parse(digits);
      expect(parsed.form).toBe("hex");
      expect(hexOf(parsed.key.expose())).toBe(STRONG_TEST_KEY_HEX);
    }
  });

  test("hex: takes any even number of digits", () => {
    expect(hexOf(parse(`hex:${STRONG_TEST_KEY_HEX.slice(0, 34)}`).key.expose())).toBe(STRONG_TEST_KEY_HEX.slice(0, 34));
    expect(parse("hex:00FF").form).toBe("hex");
  });

  test("anything else is text, 63 and 65 hex digits included, and looksLikeHex() tells those", () => {
    for (const digits of [STRONG_TEST_KEY_HEX.slice(1), `${STRONG_TEST_KEY_HEX}0`, STRONG_TEST_KEY_HEX.slice(32)]) {
      const parsed = parse(digits);
      expect(parsed.form).toBe("text");
      expect(hexOf(parsed.key.expose())).toBe(hexOf(bytes(digits)));
      expect(looksLikeHex(parsed)).toBe(true);
    }
    expect(looksLikeHex(parse("Grüße vom Gartenhaus"))).toBe(false);
    expect(looksLikeHex(parse(STRONG_TEST_KEY_HEX))).toBe(false);
  });

  test("text: makes text of what would be hex, and of what begins with a prefix", () => {
    expect(hexOf(parse(`text:${STRONG_TEST_KEY_HEX}`).key.expose())).toBe(hexOf(bytes(STRONG_TEST_KEY_HEX)));
    expect(hexOf(parse("text:hex:00").key.expose())).toBe(hexOf(bytes("hex:00")));
    expect(hexOf(parse("text:text:").key.expose())).toBe(hexOf(bytes("text:")));
  });

  test.each([
    ["", "is empty"],
    ["text:", "is empty"],
    ["hex:0", "has 1 hex digits, an odd number"],
    ["hex:00 11", "has no hex digit at position 3"],
    ["two\nlines", "has a line break at position 4"],
    ["escape\u001b[2J", "has a control character at position 7"],
  ])("%j is refused, naming the field, the problem and the fix, and never the key", (written, problem) => {
    const error = failure(() => parse(written));
    expect(error.code).toBe("invalid-key");
    expect(error.message).toMatch(/^--psk: the key .*; /);
    expect(error.message).toContain(problem);
    if (written.length > 7) expect(error.message).not.toContain(written.slice(-4));
  });

  test("bytes that are not UTF-8 are refused with the way to write them", () => {
    expect(failure(() => parseKey(Uint8Array.of(0xff, 0xfe, 0x41))).message).toContain("hex:");
  });

  test("a parsed key prints as redacted", () => {
    expect(JSON.stringify(parse("a text key for this test"))).not.toContain("this test");
  });
});

describe("what connect() and listen() admit", () => {
  test("15 bytes are refused and 16 are not", () => {
    expect(failure(() => admitPsk(new Secret(new Uint8Array(15)))).code).toBe("invalid-key");
    expect(() => admitPsk(new Secret(bytes("sixteen byte key")))).not.toThrow();
  });

  const padded = new Uint8Array(64);
  padded.set(bytes(DEVELOPMENT_KEY));
  const published: readonly [string, Uint8Array][] = [
    ["as it stands", bytes(DEVELOPMENT_KEY)],
    ["with one zero behind it", padded.subarray(0, DEVELOPMENT_KEY.length + 1)],
    ["padded to 64 bytes", padded],
  ];
  test.each(published)("the development key %s is refused, and let in by name", (_, key) => {
    expect(failure(() => admitPsk(new Secret(key))).code).toBe("weak-key");
    expect(failure(() => admitPsk(new Secret(key), { development: false })).message).toContain("usmp keygen");
    expect(() => admitPsk(new Secret(key), { development: true })).not.toThrow();
  });

  test.each(PUBLISHED_KEY_TEXTS.filter((text) => text.length >= 16 && text.length < 64))(
    "the published key %s is refused too",
    (text) => {
      expect(failure(() => admitPsk(new Secret(bytes(text)))).code).toBe("weak-key");
      expect(failure(() => admitPsk(new Secret(bytes(`${text}\0`)))).code).toBe("weak-key");
      expect(() => admitPsk(new Secret(bytes(text)), { development: true })).not.toThrow();
    },
  );

  test("published hex digits are refused as text and as the bytes that they spell", () => {
    const digits = PUBLISHED_KEY_TEXTS.find((text) => /^[0-9a-f]{64}$/.test(text)) as string;
    expect(failure(() => admitPsk(new Secret(bytes(digits)))).message).toContain("public documentation");
    expect(failure(() => admitPsk(new Secret(fromHex(digits)))).message).toContain("public documentation");
  });

  test("the development key with 31 zeros behind it is another key: HMAC hashes what is longer than 64 bytes", () => {
    const longer = new Uint8Array(65);
    longer.set(padded);
    expect(() => admitPsk(new Secret(longer))).not.toThrow();
  });
});

describe("strength", () => {
  const policy: StrengthPolicy = { estimateTextBits: () => 150 };
  const guessable: StrengthPolicy = { estimateTextBits: () => 99.9 };

  async function weakness(key: ParsedKey, given: StrengthPolicy = policy): Promise<string> {
    const error: unknown = await checkKeyStrength(key, given, "--psk").then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) return "none";
    if (!(error instanceof UsageError)) throw error;
    return `${error.code}: ${error.message}`;
  }

  test("32 random bytes are strong, and no dictionary is opened for them", async () => {
    const untouched: StrengthPolicy = { estimateTextBits: () => expect.unreachable("the text estimate was asked") };
    expect(await weakness(parse(STRONG_TEST_KEY_HEX), untouched)).toBe("none");
  });

  test("under 32 bytes is refused with the reason and the ways out, and let in by allowWeak", async () => {
    const key = parse("hex:a53a79ac575efddd4576f2d31d4baaf0");
    const refusal = await weakness(key);
    expect(refusal).toMatch(/^weak-key: --psk: the key has 16 bytes/);
    expect(refusal).toContain("whoever hears one HELLO_ACK can search such keys offline");
    expect(refusal).toContain("usmp keygen");
    expect(refusal).toContain("--allow-weak");
    expect(await weakness(key, { ...policy, allowWeak: true })).toBe("none");
  });

  test("text of 32 bytes that can be guessed is refused with its estimate, and let in by allowWeak", async () => {
    const key = parse("a text that is long, but guessable");
    expect(await weakness(key, guessable)).toContain("an estimated 99 bits where 100 are right");
    expect(await weakness(key, { ...guessable, allowWeak: true })).toBe("none");
    expect(await weakness(key, { estimateTextBits: async () => 100 })).toBe("none");
  });

  test("text written as hex is judged as text", async () => {
    expect(await weakness(parse(`hex:${hexOf(bytes("a text that is long, but guessable"))}`), guessable)).toContain(
      "can be guessed",
    );
  });

  test("under 16 bytes is refused whatever is allowed", async () => {
    const everything = { ...policy, allowWeak: true, development: true };
    expect(await weakness(parse("fifteen bytes !"), everything)).toContain("invalid-key");
    expect(await weakness(parse("your-psk"), everything)).toContain("invalid-key");
  });

  test.each([
    ["zeros", "00".repeat(32)],
    ["fifteen random bytes before zeros", `${STRONG_TEST_KEY_HEX.slice(0, 30)}${"00".repeat(17)}`],
  ])("zeros at the end do not make a key long, since HMAC adds them itself: %s", async (_, digits) => {
    const everything = { ...policy, allowWeak: true, development: true };
    expect(await weakness(parse(digits), everything)).toMatch(/^invalid-key: .* before zeros that HMAC adds by itself/);
  });

  test.each([
    ["your-generated-psk-here", bytes("your-generated-psk-here")],
    ["your-psk, padded", Uint8Array.from({ length: 32 }, (_, i) => bytes("your-psk")[i] ?? 0)],
    [DEVELOPMENT_KEY, bytes(DEVELOPMENT_KEY)],
    ["the development key, padded", Uint8Array.from({ length: 64 }, (_, i) => bytes(DEVELOPMENT_KEY)[i] ?? 0)],
  ])("the published key %s needs development mode; allowWeak is not enough", async (_, key) => {
    expect(await weakness(bytesKey(key), { ...policy, allowWeak: true })).toContain("weak-key");
    expect(await weakness(bytesKey(key), { ...policy, development: true })).toBe("none");
  });

  test("development mode does not let in other weak keys", async () => {
    expect(await weakness(parse("sixteen byte key"), { ...policy, development: true })).toContain("has 16 bytes");
  });

  test.each([
    ["one byte 32 times", "ab".repeat(32)],
    ["a count", Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => i)).toString("hex")],
    [
      "a count downwards in steps of 17",
      Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => 255 - 17 * i)).toString("hex"),
    ],
    ["deadbeef over and over", "deadbeef".repeat(8)],
    ["a strong twelve bytes over and over", STRONG_TEST_KEY_HEX.slice(0, 24).repeat(3)],
    ["eight random bytes behind zeros", "00".repeat(24) + STRONG_TEST_KEY_HEX.slice(0, 16)],
    ["sixteen bytes before zeros", STRONG_TEST_KEY_HEX.slice(32) + "00".repeat(16)],
  ])("bytes with a pattern are refused: %s", async (_, digits) => {
    expect(await weakness(parse(`hex:${digits}`))).toContain("can be guessed");
  });

  test("10,000 random-looking keys of 32 bytes are all taken", async () => {
    let lowest = Number.POSITIVE_INFINITY;
    for (let index = 0; index < 10_000; index++) {
      const key = createHash("sha256").update(`test key ${index}`).digest();
      lowest = Math.min(lowest, await estimateKeyBits(key, () => 0));
    }
    expect(lowest).toBeGreaterThan(120);
  });

  test("a random key that ends in zero bytes is judged by the rest of it", async () => {
    const digits = `${STRONG_TEST_KEY_HEX.slice(0, 60)}0000`;
    expect(await estimateKeyBits(fromHex(digits), () => 0)).toBeGreaterThan(100);
  });
});
