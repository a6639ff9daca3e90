import { describe, expect, it } from "vitest";
import { OutgoingMessages } from "../../src/connection/outgoing.ts";
import { FrameType } from "../../src/wire/frame.ts";
import { filled } from "../support/fixtures.ts";
import { ascii } from "../support/hex.ts";

describe("messages that wait to be sent", () => {
  it("are given out in order, fragment by fragment", () => {
    const messages = new OutgoingMessages();
    expect(messages.isEmpty).toBe(true);
    expect(messages.push(filled(500, 1))).toBe(0);
    expect(messages.push(ascii("b"))).toBe(1);
    expect(messages.take()).toEqual({ type: FrameType.DATA_FRAG, plaintext: filled(452, 1) });
    expect(messages.midMessage).toBe(true);
    expect(messages.acknowledge()).toBeUndefined();
    expect(messages.take()).toEqual({ type: FrameType.DATA, plaintext: filled(48, 1) });
    expect(messages.acknowledge()).toBe(0);
    expect(messages.midMessage).toBe(false);
    expect(messages.take()).toEqual({ type: FrameType.DATA, plaintext: ascii("b") });
    expect(messages.acknowledge()).toBe(1);
    expect(messages.isEmpty).toBe(true);
  });

  it("keep others from between their frames only where there are more than one", () => {
    const messages = new OutgoingMessages();
    messages.push(ascii("a"));
    messages.push(filled(453, 1));
    expect(messages.midFragments).toBe(false);
    messages.take();
    expect([messages.midMessage, messages.midFragments]).toEqual([true, false]);
    messages.acknowledge();
    messages.take();
    expect([messages.midMessage, messages.midFragments]).toEqual([true, true]);
  });

  it("are copies: the caller may use its buffer again, also a Node Buffer", () => {
    const messages = new OutgoingMessages();
    const buffer = Buffer.from("kept");
    messages.push(buffer);
    buffer.fill(0);
    expect(messages.take().plaintext).toEqual(ascii("kept"));
  });

  it("are known apart at the end: the one that has begun may have arrived, the rest has not", () => {
    const messages = new OutgoingMessages();
    for (let i = 0; i < 3; i++) messages.push(ascii("x"));
    expect(messages.pending()).toEqual({ unknown: [], unsent: [0, 1, 2] });
    messages.take();
    expect(messages.pending()).toEqual({ unknown: [0], unsent: [1, 2] });
    messages.acknowledge();
    expect(messages.pending()).toEqual({ unknown: [], unsent: [1, 2] });
  });

  it("above 1,808 bytes are refused and take no id", () => {
    const messages = new OutgoingMessages();
    expect(() => messages.push(filled(1809, 0))).toThrow(expect.objectContaining({ code: "message-too-long" }));
    expect(messages.push(ascii("x"))).toBe(0);
  });
});
