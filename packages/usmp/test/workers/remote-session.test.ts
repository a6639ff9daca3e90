import type { CloseReason } from "@usmp/protocol";
import { expect, test } from "vitest";
import { DeliveryUnknownError, SessionClosedError } from "../../src/errors.ts";
import type { SessionRecord } from "../../src/workers/records.ts";
import { RemoteSession, type SessionWorker } from "../../src/workers/remote-session.ts";

const NUMBER = 7;
const REASON: CloseReason = { code: "closed-by-peer" };

/** A stand-in whose worker takes note of requests and says what the test lets it say. */
function standIn(): { session: RemoteSession; requests: number[]; say: (record: SessionRecord) => void } {
  const requests: number[] = [];
  const worker: SessionWorker = {
    send: (_session, request) => requests.push(request),
    ask: () => {},
    credit: () => {},
    accept: () => {},
    end: () => {},
    abort: () => {},
  };
  const peer = { transport: "tcp", host: "127.0.0.1", port: 1 } as const;
  const begun = { session: NUMBER, deviceId: "02:00:00:00:00:01", sessionId: "00", peer, keyLabel: undefined };
  const session = new RemoteSession(begun, worker, { onClosed: () => {} }, 1_024);
  return { session, requests, say: (record) => session.onRecord(record) };
}

function closed({ session }: { session: RemoteSession }): SessionRecord {
  const { peer, statistics } = session;
  return { type: "closed", session: NUMBER, reason: REASON, breach: undefined, statistics, peer };
}

/** What became of a promise, or "pending" when nothing has by now. */
async function fateOf(promise: Promise<unknown>): Promise<unknown> {
  const late = new Promise((resolve) => setImmediate(resolve, "pending"));
  return Promise.race([
    promise.then(
      () => "sent",
      (error: unknown) => error,
    ),
    late,
  ]);
}

test("what its worker says nothing of before the session is finished has an unknown fate", async () => {
  const there = standIn();
  const [sent, unsent, crossed] = ["sent", "unsent", "crossed"].map((text) => there.session.send(text));
  const [first, second] = there.requests as [number, number, number];
  there.session.onSent(first);
  there.say({ type: "unsent", session: NUMBER, request: second, known: true });
  there.say(closed(there));
  expect(await fateOf(sent as Promise<void>)).toBe("sent");
  expect(await fateOf(unsent as Promise<void>)).toEqual(new SessionClosedError(REASON));
  // Its worker may still say of it that it was sent.
  expect(await fateOf(crossed as Promise<void>)).toBe("pending");
  there.say({ type: "finished", session: NUMBER });
  const fate = await fateOf(crossed as Promise<void>);
  expect(fate).toBeInstanceOf(DeliveryUnknownError);
  expect(fate).toMatchObject({ reason: REASON });
});

test("what was sent before the session was aborted here is settled as well", async () => {
  const there = standIn();
  const sending = there.session.send("crossed");
  there.session.abort();
  expect(await fateOf(sending)).toBe("pending");
  there.say(closed(there));
  there.say({ type: "finished", session: NUMBER });
  expect(await fateOf(sending)).toMatchObject({ reason: { code: "aborted" } });
  expect(await fateOf(there.session.send("later"))).toEqual(new SessionClosedError({ code: "aborted" }));
});
