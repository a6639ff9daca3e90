import { describe, expect, test } from "vitest";
import { Inbox } from "../src/inbox.ts";

describe("an inbox", () => {
  test("keeps what nobody waits for, in order, and hands the rest to those who wait, the first first", async () => {
    const inbox = new Inbox<string>();
    expect([inbox.push("one"), inbox.push("two")]).toEqual([false, false]);
    expect(inbox.length).toBe(2);
    expect([inbox.poll(), inbox.poll(), inbox.poll()]).toEqual(["one", "two", undefined]);
    const readers = [inbox.wait(undefined), inbox.wait(undefined)];
    expect([inbox.push("three"), inbox.push("four"), inbox.push("five")]).toEqual([true, true, false]);
    expect(await Promise.all(readers)).toEqual(["three", "four"]);
    expect(inbox.length).toBe(1);
  });

  test("gives what a reader that gave up waited for to the next one, or keeps it", async () => {
    const inbox = new Inbox<string>();
    const controller = new AbortController();
    const gone = inbox.wait(controller.signal);
    const next = inbox.wait(undefined);
    controller.abort();
    await expect(gone).rejects.toMatchObject({ name: "AbortError" });
    inbox.push("for the next");
    inbox.push("kept");
    expect(await next).toBe("for the next");
    expect(inbox.poll()).toBe("kept");
  });

  test("does not lose an item to an abort in the same moment: who was given it has it", async () => {
    const inbox = new Inbox<string>();
    const controller = new AbortController();
    const reader = inbox.wait(controller.signal);
    expect(inbox.push("item")).toBe(true);
    controller.abort();
    expect(await reader).toBe("item");
  });

  test("answers undefined after the end, to those who wait and those who come later, but not before what is kept", async () => {
    const inbox = new Inbox<string>();
    const readers = [inbox.wait(undefined), inbox.wait(new AbortController().signal)];
    inbox.end();
    expect(await Promise.all(readers)).toEqual([undefined, undefined]);
    const kept = new Inbox<string>();
    kept.push("last");
    kept.end();
    expect(kept.poll()).toBe("last");
    expect(await kept.wait(undefined)).toBeUndefined();
  });
});

test("an inbox forgets what is of no use any more, keeps the rest in order, and still hands on what comes", async () => {
  const inbox = new Inbox<number>();
  inbox.keepOnly(() => true);
  for (const item of [1, 2, 3, 4]) inbox.push(item);
  inbox.keepOnly((item) => item % 2 === 0);
  expect([inbox.length, inbox.poll(), inbox.poll(), inbox.poll()]).toEqual([2, 2, 4, undefined]);
  inbox.push(5);
  inbox.keepOnly(() => false);
  expect(inbox.length).toBe(0);
  const next = inbox.wait(undefined);
  inbox.push(6);
  expect(await next).toBe(6);
});
