import { createHash } from "node:crypto";
import { canonicalHmacKey, constantTimeEqual, Secret } from "@usmp/protocol";

/**
 * Keys that stand in public documentation and examples, so that everyone has them; the development key first. Texts: firmware
 * uses them as they stand. The one of 64 hex digits is also refused as the 32 bytes that it spells.
 */
export const PUBLISHED_KEY_TEXTS: readonly string[] = [
  "usmp-dev-psk-change-me-before-prod",
  "your-generated-psk-here",
  "your-psk",
  // The field's documentation and read-me files, read 2026-11 at metaloomlabs/usmp-docs 245b94e and usmp-arduino ddd2fc7.
  "your-psk-here",
  "your-pre-shared-key",
  "your-secret-psk-here",
  "your-secret-key-here",
  "my-secret-psk",
  "my-provisioned-psk",
  "secure_psk_key_123",
  "7f3a1b9e2c4d5f6a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a",
];

/** Whether a key is a published one, in the form that HMAC sees: K and K||00 are one, a K longer than 64 bytes equals its SHA-256. */
export function publishedKey(psk: Secret): "development" | "example" | undefined {
  using ours = Secret.adopt(canonicalHmacKey(psk.expose(), sha256));
  const index = CANONICAL.findIndex((published) => constantTimeEqual(ours.expose(), published));
  if (index === -1) return undefined;
  return index === 0 ? "development" : "example";
}

const CANONICAL: readonly Uint8Array[] = PUBLISHED_KEY_TEXTS.flatMap((text) => {
  const forms = [Buffer.from(text), ...(/^[0-9a-f]{64}$/.test(text) ? [Buffer.from(text, "hex")] : [])];
  return forms.map((key) => canonicalHmacKey(key, sha256));
});

function sha256(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest();
}
