import type { Session } from "usmp";
import { expect } from "vitest";
import { textOf } from "./loopback.ts";

/** Sends `count` numbered messages, every twentieth in three frames, and checks that each arrives once and in order. */
export async function expectAllInOrder(from: Session, to: Session, count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, number) =>
    `${from.sessionId} ${number}`.padEnd(number % 20 === 0 ? 1_000 : 0),
  );
  const sending = Promise.all(messages.map((message) => from.send(message)));
  for (const message of messages) expect(textOf(await to.receive())).toBe(message);
  await sending;
  expect(to.statistics.messagesReceived).toBe(count);
}
