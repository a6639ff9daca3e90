import { describe, expect, it } from "vitest";
import { FrameType, isSessionType } from "../../src/wire/frame.ts";
import { decodeUtack, encodeSealedUtack, encodeUtack, looksLikeUtack } from "../../src/wire/utack.ts";
import { filled } from "../support/fixtures.ts";
import { toHex } from "../support/hex.ts";

const mac = filled(8, 0x77);

describe("a UTACK", () => {
  it("of a handshake frame is 7 bytes: AC AC, type, seq", () => {
    const utack = encodeUtack(FrameType.HELLO_ACK, 2);
    expect(toHex(utack)).toBe("acac0302000000");
    expect(decodeUtack(utack)).toEqual({ type: 3, seq: 2, message: utack, mac: undefined });
  });

  it("of a session frame is 15 bytes, the last 8 a MAC over the first 7", () => {
    const covered: string[] = [];
    const utack = encodeSealedUtack(FrameType.DATA, 0x01020304, (message) => {
      covered.push(toHex(message));
      return mac;
    });
    expect(covered).toEqual(["acac0504030201"]);
    expect(toHex(utack)).toBe("acac05040302017777777777777777");
    expect(decodeUtack(utack)).toMatchObject({ type: 5, seq: 0x01020304, mac });
  });

  it("is told from a frame by its first two bytes", () => {
    expect(looksLikeUtack(Uint8Array.of(0xac, 0xac))).toBe(true);
    expect(looksLikeUtack(Uint8Array.of(0xac))).toBe(false);
    expect(looksLikeUtack(Uint8Array.of(0xcd, 0xab))).toBe(false);
    expect(looksLikeUtack(new Uint8Array(0))).toBe(false);
  });
});

describe("a UTACK is refused", () => {
  it("at any other length than that of its type", () => {
    for (let type = 0; type < 256; type++) {
      const bytes = Uint8Array.from([...encodeUtack(type, 0), ...filled(20, 1)]);
      const right = isSessionType(type) ? 15 : isAcknowledged(type) ? 7 : undefined;
      for (let length = 0; length <= bytes.length; length++) {
        expect(decodeUtack(bytes.subarray(0, length)) !== undefined).toBe(length === right);
      }
    }
  });

  it("for ERROR and for bytes that are no type", () => {
    for (const type of [0x00, 0x0c, FrameType.ERROR]) expect(decodeUtack(encodeUtack(type, 0))).toBeUndefined();
  });
});

function isAcknowledged(type: number): boolean {
  return [1, 2, 3, 4, 0x0a].includes(type);
}
