import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { estimateTextBits } from "../src/text-strength.ts";

const STRONG_BITS = 100;
/** Looks random, and is the same in each run. */
const digest = (index: number) => createHash("sha256").update(`text strength test ${index}`).digest();

describe("guessable texts of 32 bytes and more are estimated under 100 bits", () => {
  test.each([
    "password password password password",
    "correct horse battery staple correct horse battery staple",
    "CorrectHorseBatteryStapleCorrectHorseBatteryStaple",
    "the quick brown fox jumps over the lazy dog",
    "thequickbrownfoxjumpsoverthelazydog",
    "our garage door opener has a secret",
    "usmp-dev-psk-change-me-before-prod",
    "esp32-living-room-sensor-2024-secret",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "Tr0ub4dor&3Tr0ub4dor&3Tr0ub4dor&3",
    "01/02/1984 03/04/1985 05/06/1986 ok",
    "unser gartenhaus hat ein geheimnis",
    "x".repeat(500),
  ])("%s", async (text) => {
    expect(text.length).toBeGreaterThanOrEqual(32);
    expect(await estimateTextBits(text)).toBeLessThan(STRONG_BITS);
  });
});

describe("texts made by a generator are estimated at 100 bits and more", () => {
  test("ten words drawn by dice", async () => {
    expect(
      await estimateTextBits("abrasive chimney dolphin footwear gravel lunchbox oxidize tricycle unwritten mothproof"),
    ).toBeGreaterThan(STRONG_BITS);
  });

  test("64 hex digits as text, base64 of 24 and of 32 random bytes", async () => {
    for (let index = 0; index < 5; index++) {
      for (const text of [
        digest(index).toString("hex"),
        digest(index).subarray(0, 24).toString("base64"),
        digest(index).toString("base64url"),
      ]) {
        expect(await estimateTextBits(text), text).toBeGreaterThan(STRONG_BITS);
      }
    }
  }, 30_000); // zxcvbn takes half a second for one such text, on a quiet machine
});
