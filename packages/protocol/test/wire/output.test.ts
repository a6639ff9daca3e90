import { describe, expect, it } from "vitest";
import { FrameSlab, Output } from "../../src/wire/output.ts";

function put(output: Output, length: number, value: number): void {
  output.allocate(length).fill(value);
}

function everything(output: Output): number[][] {
  const pieces: number[][] = [];
  for (let piece = output.take(); piece !== undefined; piece = output.take()) pieces.push([...piece]);
  return pieces;
}

describe("the output of a connection", () => {
  it("is empty until something is written, and again when all was taken", () => {
    const output = new Output(new FrameSlab());
    expect(output.isEmpty).toBe(true);
    expect(output.take()).toBeUndefined();
    put(output, 3, 1);
    expect(output.isEmpty).toBe(false);
    expect(everything(output)).toEqual([[1, 1, 1]]);
    expect(output.isEmpty).toBe(true);
  });

  it("joins frames that were written together into one piece", () => {
    const output = new Output(new FrameSlab());
    put(output, 2, 1);
    put(output, 2, 2);
    put(output, 1, 3);
    expect(everything(output)).toEqual([[1, 1, 2, 2, 3]]);
  });

  it("does not lengthen a piece that was taken", () => {
    const output = new Output(new FrameSlab());
    put(output, 2, 1);
    const taken = output.take();
    put(output, 2, 2);
    expect(taken).toEqual(Uint8Array.of(1, 1));
    expect(everything(output)).toEqual([[2, 2]]);
  });

  it("keeps its order and its bytes where another connection writes in between", () => {
    const slab = new FrameSlab();
    const [ours, theirs] = [new Output(slab), new Output(slab)];
    put(ours, 2, 1);
    put(theirs, 2, 9);
    put(ours, 2, 2);
    put(ours, 2, 3);
    put(theirs, 2, 8);
    expect(everything(ours)).toEqual([
      [1, 1],
      [2, 2, 3, 3],
    ]);
    expect(everything(theirs)).toEqual([
      [9, 9],
      [8, 8],
    ]);
  });

  it("goes on in a new block when one is full, and leaves the old one as it was", () => {
    const output = new Output(new FrameSlab());
    const frames = Math.ceil(65_536 / 492) + 1;
    for (let i = 0; i < frames; i++) put(output, 492, i & 0xff);
    const pieces = everything(output);
    expect(pieces).toHaveLength(2);
    const bytes = pieces.flat();
    expect(bytes).toHaveLength(frames * 492);
    expect(bytes.every((byte, at) => byte === (Math.floor(at / 492) & 0xff))).toBe(true);
  });
});
