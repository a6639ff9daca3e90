import { encodeFrame, FrameType } from "@usmp/protocol";
import { FrameCutter } from "@usmp/testkit";
import { expect, test } from "vitest";

test("a frame cutter finds the same frames however the stream is cut, and keeps the rest", () => {
  const frames = [0, 1, 300].map((length) => encodeFrame(FrameType.HELLO, length, new Uint8Array(length).fill(length)));
  const stream = Buffer.concat([...frames, Buffer.from("tail")]);
  for (const size of [1, 7, 12, 100, stream.length]) {
    const cutter = new FrameCutter();
    const found: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...cutter.push(stream.subarray(at, at + size)));
    expect(found.map((frame) => Buffer.from(frame).toString("hex"))).toEqual(
      frames.map((frame) => Buffer.from(frame).toString("hex")),
    );
    expect(Buffer.from(cutter.held).toString()).toBe("tail");
  }
});

test("a frame cutter takes frames that no honest framer would: no magic, too long, a wrong CRC", () => {
  const frame = new Uint8Array(12 + 1000);
  new DataView(frame.buffer).setUint16(8, 1000, true);
  expect(new FrameCutter().push(frame)).toHaveLength(1);
});
