import { expect, test } from "vitest";
import { Inbox } from "../src/inbox.ts";

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
