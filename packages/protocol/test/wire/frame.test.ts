import { describe, expect, it } from "vitest";
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameType,
  frameTypeName,
  isSessionType,
  payloadOf,
  writeCrc,
} from "../../src/wire/frame.ts";
import { filled } from "../support/fixtures.ts";
import { toHex } from "../support/hex.ts";

function decoded(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes);
  if (typeof frame === "string") throw new Error(frame);
  return frame;
}

function changed(frame: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = frame.slice();
  copy[offset] = value;
  return copy;
}

const hello = encodeFrame(FrameType.HELLO, 0x01020304, Uint8Array.of(7, 8, 9));

describe("a frame", () => {
  it("has the layout of spec section 2", () => {
    expect(toHex(hello.subarray(0, 10))).toBe("cdab0201040302010300");
    expect(toHex(hello.subarray(12))).toBe("070809");
  });

  it("is decoded to what was encoded, without a copy", () => {
    const frame = decoded(hello);
    expect(frame).toMatchObject({ type: FrameType.HELLO, seq: 0x01020304 });
    expect([...payloadOf(frame)]).toEqual([7, 8, 9]);
    expect(payloadOf(frame).buffer).toBe(hello.buffer);
  });

  it.each([0, 1, 479, 480])("of %i bytes of payload is taken", (length) => {
    expect(decoded(encodeFrame(FrameType.DATA, 0, filled(length, 1))).bytes).toHaveLength(12 + length);
  });

  it("carries every seq up to 2^32 - 1", () => {
    expect(decoded(encodeFrame(FrameType.DATA, 0xffffffff, filled(0, 0))).seq).toBe(0xffffffff);
  });
});

describe("decodeFrame says what is wrong, and checks in the written order", () => {
  it("truncated: fewer than 12 bytes, or fewer than announced", () => {
    for (let length = 0; length < hello.length; length++)
      expect(decodeFrame(hello.subarray(0, length))).toBe("truncated");
  });

  it("bad-magic: either byte", () => {
    expect(decodeFrame(changed(hello, 0, 0xcc))).toBe("bad-magic");
    expect(decodeFrame(changed(hello, 1, 0xac))).toBe("bad-magic");
  });

  it.each([0, 1, 3, 255])("unsupported-version: %i", (version) => {
    expect(decodeFrame(changed(hello, 2, version))).toBe("unsupported-version");
  });

  it.each([481, 512, 65_535])("oversized-payload: %i bytes, even where they are there", (length) => {
    const frame = encodeFrame(FrameType.DATA, 0, filled(length, 0));
    expect(decodeFrame(frame)).toBe("oversized-payload");
  });

  it("trailing-bytes: a second frame behind the first, or junk", () => {
    expect(decodeFrame(Uint8Array.from([...hello, 0]))).toBe("trailing-bytes");
    expect(decodeFrame(Uint8Array.from([...hello, ...hello]))).toBe("trailing-bytes");
  });

  it("bad-crc: any flipped bit of type, seq, crc or payload", () => {
    for (const offset of [3, 4, 5, 6, 7, 10, 11, 12, 13, 14]) {
      for (let bit = 0; bit < 8; bit++) {
        expect(decodeFrame(changed(hello, offset, (hello[offset] as number) ^ (1 << bit)))).toBe("bad-crc");
      }
    }
  });

  it("unknown-type: only where the CRC is good", () => {
    const known = new Set<number>(Object.values(FrameType));
    for (let type = 0; type < 256; type++) {
      const frame = changed(hello, 3, type);
      if (type !== FrameType.HELLO) expect(decodeFrame(frame)).toBe("bad-crc");
      writeCrc(frame);
      if (known.has(type)) expect(decoded(frame).type).toBe(type);
      else expect(decodeFrame(frame)).toBe("unknown-type");
    }
  });
});

describe("frame types", () => {
  it("are the twelve of spec section 2", () => {
    expect(FrameType).toEqual({
      HELLO: 0x01,
      CHALLENGE: 0x02,
      HELLO_ACK: 0x03,
      SESSION_OK: 0x04,
      DATA: 0x05,
      PING: 0x06,
      PONG: 0x07,
      BYE: 0x08,
      DATA_FRAG: 0x09,
      HELLO_RETRY: 0x0a,
      REKEY: 0x0b,
      ERROR: 0xff,
    });
  });

  it("have names, and other bytes have none", () => {
    for (const [name, code] of Object.entries(FrameType)) expect(frameTypeName(code)).toBe(name);
    expect(frameTypeName(0)).toBeUndefined();
    expect(frameTypeName(0x0c)).toBeUndefined();
  });

  it("exist sealed where they belong to a session, and plain otherwise", () => {
    const sealed = Object.entries(FrameType).flatMap(([name, code]) => (isSessionType(code) ? [name] : []));
    expect(sealed).toEqual(["DATA", "PING", "PONG", "BYE", "DATA_FRAG", "REKEY"]);
  });
});
