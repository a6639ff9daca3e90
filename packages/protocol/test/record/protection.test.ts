import { defaultCrypto } from "@usmp/crypto";
import { describe, expect, it } from "vitest";
import { Secret } from "../../src/crypto/secret.ts";
import {
  frameRoute,
  nonceMatches,
  openFrame,
  plaintextLength,
  sealedLength,
  sealFrame,
  sessionRoute,
} from "../../src/record/protection.ts";
import { decodeFrame, encodeFrame, type Frame, FrameType, writeCrc } from "../../src/wire/frame.ts";
import { filled } from "../support/fixtures.ts";
import { ascii, toHex } from "../support/hex.ts";

const sessionId = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
const testKey = new Secret(filled(32, 0x42));
const keys = defaultCrypto().importTrafficKeys("client", testKey, testKey, sessionId);

function sealed(type: FrameType, seq: number, plaintext: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(sealedLength(plaintext.length));
  sealFrame(bytes, keys.transmit, sessionId, type, seq, plaintext);
  return bytes;
}

function decoded(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes);
  if (typeof frame === "string") throw new Error(frame);
  return frame;
}

describe("a sealed frame", () => {
  it("has the clear nonce seq || session_id[0..7] before its ciphertext, and a good CRC", () => {
    const bytes = sealed(FrameType.DATA, 0x01020304, ascii("plain"));
    expect(bytes).toHaveLength(12 + 12 + 5 + 16);
    expect(toHex(bytes.subarray(12, 24))).toBe("04030201f0f1f2f3f4f5f6f7");
    expect(toHex(bytes)).not.toContain(toHex(ascii("plain")));
    expect(decoded(bytes)).toMatchObject({ type: FrameType.DATA, seq: 0x01020304 });
  });

  it.each([0, 1, 452])("of %i bytes of plaintext opens to what was sealed", (length) => {
    const plaintext = Uint8Array.from({ length }, (_, i) => i & 0xff);
    const frame = decoded(sealed(FrameType.DATA, 7, plaintext));
    expect(plaintextLength(frame.bytes)).toBe(length);
    expect(openFrame(frame, keys.receive)).toEqual(plaintext);
  });

  it("does not open with any bit of its AAD, nonce, ciphertext or tag changed, and a good CRC", () => {
    const bytes = sealed(FrameType.DATA, 7, ascii("ab"));
    // Magic, version and length are the decoder's; type, seq and everything from the nonce on is the tag's.
    const offsets = [3, 4, 5, 6, 7, ...Array.from({ length: bytes.length - 12 }, (_, i) => 12 + i)];
    let opened = 0;
    for (const bit of offsets.flatMap((offset) => Array.from({ length: 8 }, (_, i) => offset * 8 + i))) {
      const changed = bytes.slice();
      changed[bit >>> 3] = (changed[bit >>> 3] as number) ^ (1 << (bit & 7));
      writeCrc(changed);
      const frame = decodeFrame(changed);
      if (typeof frame !== "string" && openFrame(frame, keys.receive) !== undefined) opened++;
    }
    expect(opened).toBe(0);
  });
});

describe("the clear nonce is refused before decryption", () => {
  const frame = decoded(sealed(FrameType.DATA, 9, ascii("x")));

  it("when any of its twelve bytes is not what the session computes", () => {
    expect(nonceMatches(frame, sessionId)).toBe(true);
    for (let offset = 12; offset < 24; offset++) {
      const bytes = frame.bytes.slice();
      bytes[offset] = (bytes[offset] as number) ^ 0x80;
      expect(nonceMatches({ ...frame, bytes }, sessionId)).toBe(false);
    }
  });

  it("but not for the second half of the session id, which it does not carry", () => {
    const other = sessionId.slice();
    other.fill(0, 8);
    expect(nonceMatches(frame, other)).toBe(true);
  });
});

describe("the route of a session", () => {
  it("is the same from the session id and from any of its frames", () => {
    const route = frameRoute(decoded(sealed(FrameType.PING, 3, filled(0, 0))));
    expect(route).toBe(sessionRoute(sessionId));
    expect(Number.isSafeInteger(route)).toBe(true);
  });

  it("differs when any of its first six bytes does", () => {
    const routes = new Set([sessionRoute(sessionId)]);
    for (let offset = 0; offset < 6; offset++) {
      const other = sessionId.slice();
      other[offset] = 0;
      routes.add(sessionRoute(other));
    }
    expect(routes.size).toBe(7);
  });

  it("is absent where a frame is too short to be sealed", () => {
    expect(frameRoute(decoded(encodeFrame(FrameType.DATA, 0, filled(27, 0))))).toBeUndefined();
    expect(frameRoute(decoded(encodeFrame(FrameType.DATA, 0, filled(28, 0))))).toBe(0);
  });
});
