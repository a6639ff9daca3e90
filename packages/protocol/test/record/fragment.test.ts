import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Assembler, fragmentAt, fragmentCount, fragmentType } from "../../src/record/fragment.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { ascii } from "../support/hex.ts";

const { DATA, DATA_FRAG } = FrameType;

describe("a message is divided", () => {
  it.each([
    [0, 1],
    [1, 1],
    [451, 1],
    [452, 1],
    [453, 2],
    [904, 2],
    [905, 3],
    [1356, 3],
    [1357, 4],
    [1808, 4],
  ])("of %i bytes into %i frames of at most 452, all but the last DATA_FRAG", (length, count) => {
    const message = Uint8Array.from({ length }, (_, i) => i & 0xff);
    expect(fragmentCount(length)).toBe(count);
    const fragments = Array.from({ length: count }, (_, i) => fragmentAt(message, i));
    expect(fragments.flatMap((fragment) => [...fragment])).toEqual([...message]);
    expect(fragments.slice(0, -1).every((fragment) => fragment.length === 452)).toBe(true);
    const types = fragments.map((_, i) => fragmentType(i, count));
    expect(types).toEqual([...Array.from({ length: count - 1 }, () => DATA_FRAG), DATA]);
  });

  it("not above 1,808 bytes: the caller is told how many there are and what to do", () => {
    expect(() => fragmentCount(1809)).toThrow(UsageError);
    expect(() => fragmentCount(1809)).toThrow(/1809 bytes: at most 1808 fit .*split it/);
  });
});

describe("the assembler", () => {
  it("joins DATA_FRAGs and the DATA that ends them", () => {
    const assembler = new Assembler();
    expect(assembler.midMessage).toBe(false);
    expect(assembler.add(DATA_FRAG, 4, ascii("ab"))).toBeUndefined();
    expect(assembler.midMessage).toBe(true);
    expect(assembler.add(DATA_FRAG, 5, ascii(""))).toBeUndefined();
    expect(assembler.add(DATA, 6, ascii("c"))).toEqual({ message: ascii("abc") });
    expect(assembler.midMessage).toBe(false);
  });

  it("answers a lone DATA as it is, empty or not", () => {
    const assembler = new Assembler();
    expect(assembler.add(DATA, 0, ascii(""))).toEqual({ message: ascii("") });
    expect(assembler.add(DATA, 1, ascii("x"))).toEqual({ message: ascii("x") });
  });

  it("knows which number goes on with the message at hand", () => {
    const assembler = new Assembler();
    expect(assembler.breaksAt(77)).toBe(false);
    assembler.add(DATA_FRAG, 4, ascii("a"));
    expect(assembler.breaksAt(5)).toBe(false);
    expect(assembler.breaksAt(4)).toBe(true);
    expect(assembler.breaksAt(6)).toBe(true);
  });

  it("refuses a fourth DATA_FRAG, and what follows it is not a message of its own", () => {
    const assembler = new Assembler();
    for (let seq = 0; seq < 3; seq++) assembler.add(DATA_FRAG, seq, ascii("a"));
    expect(assembler.add(DATA_FRAG, 3, ascii("a"))).toEqual({ violation: "too-many-fragments" });
    expect(assembler.add(DATA_FRAG, 4, ascii("a"))).toEqual({ violation: "too-many-fragments" });
    expect(assembler.add(DATA, 5, ascii("tail"))).toEqual({ violation: "too-many-fragments" });
    expect(assembler.add(DATA, 6, ascii("next"))).toEqual({ message: ascii("next") });
  });

  it("forgets a half message when it is told to", () => {
    const assembler = new Assembler();
    assembler.add(DATA_FRAG, 0, ascii("lost"));
    assembler.discard();
    expect(assembler.midMessage).toBe(false);
    expect(assembler.add(DATA, 9, ascii("whole"))).toEqual({ message: ascii("whole") });
  });

  it("joins by a view what lies back to back in one piece of memory, and only that", () => {
    const block = new Uint8Array(2 * 452).fill(1);
    const assembler = new Assembler();
    assembler.add(FrameType.DATA_FRAG, 0, block.subarray(0, 452));
    const together = assembler.add(FrameType.DATA, 1, block.subarray(452));
    expect(together).toEqual({ message: block });
    expect(together && "message" in together && together.message.buffer).toBe(block.buffer);
    const other = new Uint8Array(2 * 452).fill(2);
    assembler.add(FrameType.DATA_FRAG, 0, block.subarray(0, 452));
    const apart = assembler.add(FrameType.DATA, 1, other.subarray(452));
    expect(apart).toEqual({ message: Uint8Array.from([...block.subarray(0, 452), ...other.subarray(452)]) });
  });
});
