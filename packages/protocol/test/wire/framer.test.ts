import { describe, expect, it } from "vitest";
import { encodeFrame, FrameType, payloadOf } from "../../src/wire/frame.ts";
import { Framer } from "../../src/wire/framer.ts";
import { filled } from "../support/fixtures.ts";
import { toHex } from "../support/hex.ts";

const frames = [
  encodeFrame(FrameType.HELLO, 1, filled(38, 1)),
  encodeFrame(FrameType.BYE, 2, filled(0, 0)),
  encodeFrame(FrameType.DATA, 3, filled(480, 3)),
];
const stream = Uint8Array.from(frames.flatMap((frame) => [...frame]));

/** What comes out when `chunks` go in, in hexadecimal; a violation by its name. */
function cut(framer: Framer, chunks: readonly Uint8Array[]): string[] {
  const out: string[] = [];
  for (const chunk of chunks) {
    framer.push(chunk);
    for (let next = framer.next(); next !== undefined; next = framer.next()) {
      if (typeof next === "string") return [...out, next];
      out.push(toHex(next.bytes));
    }
  }
  return out;
}

function chunked(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; start += size) chunks.push(bytes.slice(start, start + size));
  return chunks;
}

describe("the framer", () => {
  it.each([1, 2, 11, 12, 13, 50, 61, 62, 491, 492, 493, 10_000])(
    "cuts the same frames out of chunks of %i bytes",
    (size) => {
      expect(cut(new Framer(), chunked(stream, size))).toEqual(frames.map(toHex));
    },
  );

  it("cuts the same frames wherever one cut falls, so also inside any header", () => {
    for (let at = 0; at <= stream.length; at++) {
      const halves = [stream.slice(0, at), stream.slice(at)];
      if (cut(new Framer(), halves).length !== frames.length) expect.fail(`a cut at ${at} lost a frame`);
    }
  });

  it("cuts 64 frames out of one segment", () => {
    const segment = Uint8Array.from(Array.from({ length: 64 }, () => [...(frames[1] as Uint8Array)]).flat());
    expect(cut(new Framer(), [segment])).toHaveLength(64);
  });

  it("answers views of the chunk where a frame lies whole in it", () => {
    const framer = new Framer();
    framer.push(stream);
    const frame = framer.next();
    if (frame === undefined || typeof frame === "string") return expect.fail("no frame came");
    expect(payloadOf(frame).buffer).toBe(stream.buffer);
  });

  it("knows whether a frame has begun", () => {
    const framer = new Framer();
    expect(framer.midFrame).toBe(false);
    cut(framer, [stream.slice(0, 7)]);
    expect(framer.midFrame).toBe(true);
    cut(framer, [stream.slice(7)]);
    expect(framer.midFrame).toBe(false);
  });

  it("keeps a frame whole although the chunk it began in is overwritten", () => {
    const framer = new Framer();
    const first = stream.slice(0, 30);
    framer.push(first);
    expect(framer.next()).toBeUndefined();
    first.fill(0xee);
    expect(cut(framer, [stream.slice(30)])).toEqual(frames.map(toHex));
  });
});

describe("the framer refuses, before a payload is there,", () => {
  const header = (frames[0] as Uint8Array).slice(0, 12);
  const wrong = [
    { what: "bad-magic", offset: 0, value: 0 },
    { what: "unsupported-version", offset: 2, value: 1 },
    { what: "oversized-payload", offset: 9, value: 0xff },
  ];

  it.each(wrong)("$what in a header that comes in one piece", ({ what, offset, value }) => {
    const bytes = header.slice();
    bytes[offset] = value;
    expect(cut(new Framer(), [bytes])).toEqual([what]);
  });

  it.each(wrong)("$what in a header that comes byte by byte", ({ what, offset, value }) => {
    const bytes = header.slice();
    bytes[offset] = value;
    expect(cut(new Framer(), chunked(bytes, 1))).toEqual([what]);
  });

  it.each([1, 1_000])("a bad CRC, in chunks of %i bytes, behind the good frames before it", (size) => {
    const bytes = stream.slice();
    bytes[bytes.length - 1] = 0;
    expect(cut(new Framer(), chunked(bytes, size))).toEqual([...frames.slice(0, 2).map(toHex), "bad-crc"]);
  });
});
