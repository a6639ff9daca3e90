import { describe, expect, it } from "vitest";
import { type Departed, OutgoingMessages } from "../../src/connection/outgoing.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { filled } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";

describe("messages that wait to be sent", () => {
  it("are given out in order, fragment by fragment", () => {
    const messages = new OutgoingMessages();
    expect(messages.isEmpty).toBe(true);
    expect(messages.push(filled(500, 1))).toBe(0);
    expect(messages.push(ascii("b"))).toBe(1);
    expect(messages.waiting).toBe(2);
    expect(messages.take()).toMatchObject({ type: FrameType.DATA_FRAG, plaintext: filled(452, 1) });
    expect(messages.midRun).toBe(true);
    expect(messages.take()).toMatchObject({ type: FrameType.DATA, plaintext: filled(48, 1) });
    expect(messages.midRun).toBe(false);
    expect(messages.take()).toMatchObject({ type: FrameType.DATA, plaintext: ascii("b") });
    expect(messages.isEmpty).toBe(true);
  });

  it("are through when each frame of theirs and of all before is acknowledged, and every number below the barrier", () => {
    const messages = new OutgoingMessages();
    messages.push(filled(500, 1));
    messages.push(ascii("b"));
    const [first, , second] = [0, 1, 2].map((seq) => {
      const { message } = messages.take();
      message.lastSeq = seq;
      return message;
    }) as [Departed, Departed, Departed];
    second.unacknowledged--;
    expect(messages.takeThrough(10)).toEqual([]);
    first.unacknowledged--;
    expect(messages.takeThrough(10)).toEqual([]);
    first.unacknowledged--;
    expect(messages.takeThrough(1)).toEqual([]);
    expect(messages.takeThrough(2)).toEqual([0]);
    expect(messages.takeThrough(3)).toEqual([1]);
  });

  it("keep others from between their frames only where there are more than one", () => {
    const messages = new OutgoingMessages();
    messages.push(ascii("a"));
    messages.push(filled(453, 1));
    const { message } = messages.take();
    expect(messages.midFragments).toBe(false);
    message.unacknowledged--;
    messages.takeThrough(10);
    expect(messages.nextIsFragmented).toBe(true);
    messages.take();
    expect([messages.midRun, messages.midFragments]).toEqual([true, true]);
    messages.take();
    expect([messages.midRun, messages.midFragments, messages.nextIsFragmented]).toEqual([false, true, false]);
  });

  it("are copies: the caller may use its buffer again, also a Node Buffer", () => {
    const messages = new OutgoingMessages();
    const buffer = Buffer.from("kept");
    messages.push(buffer);
    buffer.fill(0);
    expect(messages.take().plaintext).toEqual(ascii("kept"));
  });

  it("are known apart at the end: those that have begun may have arrived, the rest has not", () => {
    const messages = new OutgoingMessages();
    messages.push(ascii("x"));
    messages.push(filled(453, 1));
    messages.push(ascii("x"));
    expect(messages.pending()).toEqual({ unknown: [], unsent: [0, 1, 2] });
    messages.take();
    expect(messages.pending()).toEqual({ unknown: [0], unsent: [1, 2] });
    messages.take();
    expect(messages.pending()).toEqual({ unknown: [0, 1], unsent: [2] });
  });

  it("above 1,808 bytes are refused and take no id", () => {
    const messages = new OutgoingMessages();
    expect(() => messages.push(filled(1809, 0))).toThrow(expect.objectContaining({ code: "message-too-long" }));
    expect(messages.push(ascii("x"))).toBe(0);
  });
});
