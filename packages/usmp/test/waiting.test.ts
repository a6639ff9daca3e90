import { VirtualClock } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { type Session, SessionClosedError } from "../src/index.ts";
import { expectEcho, open, pair, patterned, receiveTexts, TRANSPORTS, textOf } from "./support/loopback.ts";
import { rawTcpServer } from "./support/raw-tcp.ts";
import { rawUdpServer } from "./support/raw-udp.ts";

const NEVER_MIND = new Error("never mind");
/** Whole messages that may wait unread: small, so that a test fills it soon. */
const RECEIVE_BUFFER_BYTES = 20_000;
/** More than every buffer of the kernel and of the sockets takes. */
const MORE_THAN_ALL_BUFFERS_HOLD = 40_000;

describe.each(TRANSPORTS)("giving up a wait over %s", (transport) => {
  test("with a signal that was aborted before: nothing is asked, sent or taken", async () => {
    const { client, server } = await pair(transport);
    const options = { signal: AbortSignal.abort(NEVER_MIND) };
    await server.send("kept");
    for (const wait of [
      client.send("not sent", options),
      client.receive(options),
      client.ping(options),
      client.rekey(options),
    ]) {
      await expect(wait).rejects.toBe(NEVER_MIND);
    }
    expect(textOf(await client.receive())).toBe("kept");
    expect(client.statistics).toMatchObject({ messagesSent: 0, epoch: 0 });
    await expectEcho(client, server);
  });

  test("of receive() loses no message: the next reader gets it", async () => {
    const { client, server } = await pair(transport);
    const controller = new AbortController();
    const gone = server.receive({ signal: controller.signal });
    controller.abort(NEVER_MIND);
    await expect(gone).rejects.toBe(NEVER_MIND);
    await client.send("one");
    await client.send("two");
    expect(await receiveTexts(server, 2)).toEqual(["one", "two"]);
  });

  test("of receive() again and again, while messages come, loses and doubles none", async () => {
    const { client, server } = await pair(transport);
    const expected = Array.from({ length: 200 }, (_, index) => String(index));
    const sending = Promise.all(expected.map((text) => client.send(text)));
    const received: (string | undefined)[] = [];
    for (let turn = 0; received.length < expected.length; turn++) {
      const controller = new AbortController();
      const waiting = server.receive({ signal: controller.signal });
      // Every second wait is given up, some in the moment in which its message comes.
      if (turn % 2 === 0) setImmediate(() => controller.abort(NEVER_MIND));
      const outcome = await Promise.allSettled([waiting]).then(([settled]) => settled);
      if (outcome.status === "fulfilled") received.push(textOf(outcome.value));
      else expect(outcome.reason).toBe(NEVER_MIND);
    }
    await sending;
    expect(received).toEqual(expected);
  });

  test("of ping() leaves the others that wait for the same PONG, and the session, as they are", async () => {
    const { ours, next, pong } = await silentPeer(transport);
    const controller = new AbortController();
    const gone = ours.ping({ signal: controller.signal });
    const stays = ours.ping();
    controller.abort(NEVER_MIND);
    await expect(gone).rejects.toBe(NEVER_MIND);
    await next("PING");
    await pong();
    expect(await stays).toBeGreaterThanOrEqual(0);
    expect(ours.open).toBe(true);
  });

  test("of rekey() does not undo it: both ends are in the new epoch and go on", async () => {
    const { client, server } = await pair(transport);
    const controller = new AbortController();
    const rekeying = client.rekey({ signal: controller.signal });
    controller.abort(NEVER_MIND);
    // On TCP the REKEY may have been taken in the same call.
    await rekeying.catch((error: unknown) => expect(error).toBe(NEVER_MIND));
    await expectEcho(client, server);
    await client.ping();
    await expectEcho(client, server);
    expect([client.statistics.epoch, server.statistics.epoch]).toEqual([1, 1]);
  });

  test("of send() that has begun does not take the message back: it arrives, once and in its place", async () => {
    const { client, server } = await pair(transport);
    const controller = new AbortController();
    const sends = [client.send("before"), client.send("given up", { signal: controller.signal }), client.send("after")];
    controller.abort(NEVER_MIND);
    const [, given] = await Promise.allSettled(sends);
    // TCP takes it at once; on UDP its acknowledgement is still to come.
    expect(given?.status).toBe(transport === "tcp" ? "fulfilled" : "rejected");
    expect(await receiveTexts(server, 3)).toEqual(["before", "given up", "after"]);
  });
});

describe.each(TRANSPORTS)("an application that does not read, over %s,", (transport) => {
  test("holds its peer back, and no other, within the bytes that it allows; nothing is lost when it goes on", async () => {
    const { client, server, listening } = await pair(transport, {
      server: { receiveBufferBytes: RECEIVE_BUFFER_BYTES },
    });
    const other = await open(listening.address(transport), { transport, deviceId: "d0:d1:d2:d3:d4:d6" });
    const otherThere = await listening.accept();
    let sent = 0;
    const sending = (async () => {
      for (; sent < MORE_THAN_ALL_BUFFERS_HOLD; sent++) await client.send(patterned(1_000 + (sent % 800)));
    })();
    const ended = sending.catch(() => "ended");

    await expect.poll(() => unread(server)).toBeGreaterThanOrEqual(RECEIVE_BUFFER_BYTES);
    // Enough turns of the event loop for all of it to come, were it not held back.
    for (let round = 0; round < 100; round++) await expectEcho(other, otherThere);
    expect(unread(server)).toBeLessThan(RECEIVE_BUFFER_BYTES + BEYOND[transport]);
    expect(sent).toBeLessThan(MORE_THAN_ALL_BUFFERS_HOLD);

    const before = sent;
    for (let index = 0; index < before; index++) {
      expect((await server.receive())?.length).toBe(1_000 + (index % 800));
    }
    expect(sent, "it goes on").toBeGreaterThanOrEqual(before);
    client.abort();
    await ended;
  });
});

/** What may come beyond what is allowed: on TCP the messages of one read of the socket, on UDP the one that filled it. */
const BEYOND = { tcp: 65_536, udp: 1_808 };

/** Bytes of messages that came, as long as none was read. */
function unread(session: Session): number {
  return session.statistics.messagesReceived * 1_000;
}

test("over TCP, messages that wait for a peer that does not read may be given up: those are not sent, all others are, in order", async () => {
  const { client, server } = await pair("tcp", { server: { receiveBufferBytes: RECEIVE_BUFFER_BYTES } });
  let filled = 0;
  const filler = patterned(1_808);
  // The first that has to wait shows that every buffer on the way is full.
  for (let waits = false; !waits; filled++) {
    const sent = client.send(filler);
    waits = await Promise.race([sent.then(() => false), manyTurns().then(() => true)]);
  }
  const controller = new AbortController();
  const waiting = [client.send("first"), client.send("given up", { signal: controller.signal }), client.send("second")];
  controller.abort(NEVER_MIND);
  await expect(waiting[1]).rejects.toBe(NEVER_MIND);
  for (let index = 0; index < filled; index++) expect((await server.receive())?.length).toBe(1_808);
  expect(await receiveTexts(server, 2)).toEqual(["first", "second"]);
  await Promise.all([waiting[0], waiting[2]]);
});

describe.each(TRANSPORTS)("close() over %s", (transport) => {
  test("sends what waits first: every message that was given before arrives, and none after is taken", async () => {
    // The second that close() has does not pass.
    const { client, server } = await pair(transport, { client: { clock: new VirtualClock() } });
    const messages = Array.from({ length: 200 }, (_, index) => patterned(1_600 + index));
    const sends = messages.map((message) => client.send(message));
    const closing = client.close();
    const lengths = lengthsOf(server);
    await expect(client.send("too late")).rejects.toMatchObject({ code: "session-closed" });
    await expect(client.ping()).rejects.toMatchObject({ code: "session-closed" });
    expect(await lengths).toEqual(messages.map(({ length }) => length));
    await Promise.all(sends);
    expect(await closing).toEqual({ code: "closed-locally" });
    expect(await server.closed).toEqual({ code: "closed-by-peer" });
  });
});

test("close() over TCP waits a second, not more, for a peer that does not read; what it did not take is told", async () => {
  const clock = new VirtualClock();
  const { client } = await pair("tcp", { client: { clock }, server: { receiveBufferBytes: RECEIVE_BUFFER_BYTES } });
  const outcome = { sent: 0, refused: 0 };
  const give = (): Promise<void> =>
    client.send(patterned(1_808)).then(
      () => void outcome.sent++,
      (error: unknown) => {
        expect(error).toBeInstanceOf(SessionClosedError);
        outcome.refused++;
      },
    );
  for (let waits = false; !waits; )
    waits = await Promise.race([give().then(() => false), manyTurns().then(() => true)]);
  const others = [give(), give()];
  const closing = client.close();
  await clock.elapse(999);
  expect(client.open).toBe(true);
  await clock.elapse(1);
  expect(await closing).toEqual({ code: "closed-locally" });
  await Promise.all(others);
  expect(outcome.refused).toBe(3);
});

async function lengthsOf(session: Session): Promise<number[]> {
  const lengths: number[] = [];
  for await (const { length } of session) lengths.push(length);
  return lengths;
}

async function manyTurns(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A peer that answers when it is told to. */
async function silentPeer(transport: "tcp" | "udp") {
  if (transport === "tcp") {
    const { ours, raw, keys } = await rawTcpServer();
    return { ours, next: () => raw.expectFrame(), pong: () => raw.write(keys.seal("PONG", 0)) };
  }
  const { ours, raw, keys } = await rawUdpServer();
  return {
    ours,
    next: async (type: "PING") => raw.send(keys.utack(await raw.expectFrame(type))),
    pong: () => raw.send(keys.seal("PONG", 0)),
  };
}
