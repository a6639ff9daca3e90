import { describe, expect, test } from "vitest";
import type { OutboundRecord } from "../../src/messages/messages.ts";
import { TestQueue } from "../support/outbound.ts";
import { ADA, onEachDatabase } from "../support/registries.ts";

const HOUR_MS = 3_600_000;
const OTHER = "02:00:00:00:00:02";
const texts = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `m${from + index}`);
const statesOf = (records: readonly OutboundRecord[]): string[] => records.map(({ state }) => state);

onEachDatabase("the outbound queue", (newHome) => {
  describe("promises", () => {
    test("a number once the message is durable, and finds it again after a restart, in order", async () => {
      const test = await TestQueue.open(newHome());
      const records: OutboundRecord[] = [];
      for (const text of texts(3)) records.push(await test.send(text));
      expect(records.map(({ id }) => id)).toEqual([...records.map(({ id }) => id)].sort((a, b) => a - b));
      await test.start();
      expect(test.queue.depth).toMatchObject({ messages: 3, bytes: 6 });
      expect(await test.waiting()).toEqual(records);
      const session = test.connect();
      await expect.poll(() => session.wire.length).toBe(3);
      session.arrive();
      expect(test.receivedBy()).toEqual(texts(3));
    });

    test("each message once, whether it was confirmed or not, in order of sending, with its sender", async () => {
      const test = await TestQueue.open(newHome());
      const session = test.connect("udp");
      const sent = await Promise.all(texts(5).map((text) => test.send(text)));
      await expect.poll(() => session.wire.length).toBe(5);
      session.arrive(2);
      session.acknowledge();
      const [first] = sent as [OutboundRecord];
      await expect.poll(async () => (await test.queue.show(first.id)).state).toBe("confirmed");
      expect(await test.queue.show(first.id)).toMatchObject({ attempts: 1, maybeTwice: false, by: ADA.who, bytes: 2 });
      session.arrive();
      session.acknowledge();
      await expect.poll(() => test.queue.depth.messages).toBe(0);
      expect(test.receivedBy()).toEqual(texts(5));
      expect(statesOf(test.told.filter(({ id }) => id === first.id))).toEqual(["queued", "sent", "confirmed"]);
    });

    test("not to send before the disk knows of it", async () => {
      const seen: string[] = [];
      const test = await TestQueue.open(newHome());
      const session = test.connect();
      const send = session.send.bind(session);
      session.send = (data) => {
        seen.push(...statesOf(test.told));
        return send(data);
      };
      const { id } = await test.send("m0");
      await expect.poll(() => session.wire.length).toBe(1);
      expect(seen).toEqual(["queued", "sent"]);
      expect((await test.queue.show(id)).state).toBe("sent");
    });

    test("to hand nothing to a session that has not proven itself, but asks it to", async () => {
      const test = await TestQueue.open(newHome());
      await test.send("m0");
      const session = test.connect("tcp", { proven: false });
      await expect.poll(() => session.pinged).toBe(1);
      expect(session.wire).toEqual([]);
      session.prove();
      await expect.poll(() => session.wire.length).toBe(1);
    });
  });

  describe("when a session ends", () => {
    test("over UDP what had begun to leave is marked before it is sent again, what had not is not", async () => {
      const test = await TestQueue.open(newHome());
      const first = test.connect("udp");
      const ids = (await Promise.all(texts(4).map((text) => test.send(text)))).map(({ id }) => id);
      await expect.poll(() => first.wire.length).toBe(4);
      first.arrive(1);
      first.acknowledge();
      first.arrive(1);
      first.cut(1);
      await expect.poll(async () => statesOf(await test.waiting())).toEqual(["queued", "queued", "queued"]);
      const records = await Promise.all(ids.map((id) => test.queue.show(id)));
      expect(records.map(({ maybeTwice }) => maybeTwice)).toEqual([false, true, true, false]);
      const second = test.connect("udp");
      await expect.poll(() => second.wire.length).toBe(3);
      second.arrive();
      expect(test.receivedBy()).toEqual(["m0", "m1", "m1", "m2", "m3"]);
    });

    test("over TCP everything that was sent and not confirmed is marked", async () => {
      const test = await TestQueue.open(newHome());
      const first = test.connect("tcp");
      await Promise.all(texts(3).map((text) => test.send(text)));
      await expect.poll(() => first.wire.length).toBe(3);
      first.cut();
      await expect
        .poll(async () => (await test.waiting()).map(({ maybeTwice }) => maybeTwice))
        .toEqual([true, true, true]);
    });

    test("a newer one waits until the older has ended, and then gets what is left", async () => {
      const test = await TestQueue.open(newHome());
      const older = test.connect();
      await test.send("m0");
      await expect.poll(() => older.wire.length).toBe(1);
      const newer = test.connect();
      expect(newer.pinged).toBe(1);
      await test.send("m1");
      await expect.poll(() => older.wire.length).toBe(2);
      older.arrive(1);
      older.acknowledge();
      older.cut();
      await expect.poll(() => newer.wire.length).toBe(1);
      newer.arrive();
      expect(test.receivedBy()).toEqual(["m0", "m1"]);
    });

    test("a crash leaves a mark on what may have left, and on nothing else", async () => {
      const test = await TestQueue.open(newHome(), { settings: { drainPerSecond: 10 } });
      const session = test.connect();
      await Promise.all(texts(4).map((text) => test.send(text)));
      await expect.poll(() => session.wire.length).toBe(2);
      session.arrive();
      await test.start();
      expect(await test.waiting()).toMatchObject([
        { state: "queued", maybeTwice: true, attempts: 1 },
        { state: "queued", maybeTwice: true, attempts: 1 },
        { state: "queued", maybeTwice: false, attempts: 0 },
        { state: "queued", maybeTwice: false, attempts: 0 },
      ]);
    });

    test("an orderly stop waits for fates, and hands nothing more over", async () => {
      const test = await TestQueue.open(newHome());
      const session = test.connect();
      await test.send("m0");
      await expect.poll(() => session.wire.length).toBe(1);
      const stopped = test.queue.stop(1_000);
      await expect(test.send("m1")).rejects.toMatchObject({ code: "database", message: /stopping/ });
      session.arrive();
      session.acknowledge();
      await stopped;
      await test.queue.close();
      await test.start();
      expect(await test.waiting()).toEqual([]);
    });

    test("an orderly stop does not wait for ever", async () => {
      const test = await TestQueue.open(newHome());
      const session = test.connect();
      await test.send("m0");
      await expect.poll(() => session.wire.length).toBe(1);
      const stopped = test.queue.stop(1_000);
      await test.home.time.pass(1_000);
      await stopped;
      session.cut();
      await test.queue.close();
      await test.start();
      expect(await test.waiting()).toMatchObject([{ maybeTwice: true }]);
    });
  });

  describe("paces itself", () => {
    test("a returning device gets so many a second, and no more are unconfirmed", async () => {
      const test = await TestQueue.open(newHome(), { settings: { drainPerSecond: 20 } });
      await Promise.all(texts(100).map((text) => test.send(text)));
      const session = test.connect("udp");
      await expect.poll(() => session.wire.length).toBe(4);
      let handed = 4;
      for (let tick = 1; tick <= 10; tick++) {
        session.arrive();
        session.acknowledge();
        await expect.poll(() => test.queue.depth.messages).toBe(100 - handed);
        await test.home.time.pass(200);
        await expect.poll(() => session.wire.length).toBe(4);
        handed += 4;
      }
      // Nothing is acknowledged any more: the window is full after twenty.
      await expect
        .poll(async () => {
          await test.home.time.pass(200);
          return session.wire.length;
        })
        .toBe(20);
      await test.home.time.pass(10_000);
      expect(session.wire.length).toBe(20);
    });

    test("and no other device waits for it", async () => {
      const test = await TestQueue.open(newHome(), { settings: { drainPerSecond: 1 } });
      test.states.set(OTHER, "active");
      await Promise.all(texts(50).map((text) => test.send(text)));
      const slow = test.connect();
      await expect.poll(() => slow.wire.length).toBe(1);
      const quick = test.connect("tcp", { device: OTHER });
      await test.send("now", { device: OTHER });
      await expect.poll(() => quick.wire.length).toBe(1);
      expect(slow.wire.length).toBe(1);
    });
  });

  describe("time to live", () => {
    test("ends what waits, online or not, and is told", async () => {
      const test = await TestQueue.open(newHome());
      const [short, long] = [await test.send("m0", { ttlMs: 1_000 }), await test.send("m1", { ttlMs: HOUR_MS })];
      test.home.time.passWall(1_000);
      await test.queue.keepHouse();
      expect(await test.queue.show(short.id)).toMatchObject({ state: "expired", endedAt: test.home.time.wall });
      expect((await test.queue.show(long.id)).state).toBe("queued");
      expect(test.queue.depth.messages).toBe(1);
      expect(test.told.at(-1)).toMatchObject({ id: short.id, state: "expired" });
    });

    test("is looked at once more when its turn has come", async () => {
      const test = await TestQueue.open(newHome());
      await test.send("m0", { ttlMs: 1_000 });
      await test.send("m1");
      test.home.time.passWall(1_000);
      const session = test.connect();
      await expect.poll(() => session.wire.length).toBe(1);
      session.arrive();
      expect(test.receivedBy()).toEqual(["m1"]);
      expect(statesOf(await test.waiting())).toEqual(["sent"]);
    });

    // Found by simulation: nothing of a whole batch could leave, and what waited behind it was forgotten until the next message came.
    test("of many at once does not hold up what waits behind them", async () => {
      const test = await TestQueue.open(newHome(), { settings: { drainPerSecond: 10 } });
      await Promise.all(texts(7).map((text) => test.send(text, { ttlMs: 1_000 })));
      await test.send("m7");
      test.home.time.passWall(1_000);
      const session = test.connect();
      await expect
        .poll(async () => {
          await test.home.time.pass(200);
          return session.wire.length;
        })
        .toBe(1);
      session.arrive();
      expect(test.receivedBy()).toEqual(["m7"]);
    });

    test("never ends what a session has; when that ends without a word it does", async () => {
      const test = await TestQueue.open(newHome());
      const session = test.connect();
      const { id } = await test.send("m0", { ttlMs: 1_000 });
      await expect.poll(() => session.wire.length).toBe(1);
      test.home.time.passWall(5_000);
      await test.queue.keepHouse();
      expect((await test.queue.show(id)).state).toBe("sent");
      session.cut();
      await expect.poll(async () => (await test.queue.show(id)).state).toBe("queued");
      await test.queue.keepHouse();
      expect(await test.queue.show(id)).toMatchObject({ state: "expired", attempts: 1 });
    });

    test("nothing ends on a clock in doubt; what was queued under it has its whole time from when the clock is trusted", async () => {
      const test = await TestQueue.open(newHome());
      const before = await test.send("m0", { ttlMs: HOUR_MS });
      test.home.time.wall += 10 * HOUR_MS;
      await test.queue.keepHouse();
      expect((await test.queue.show(before.id)).state).toBe("queued");
      const during = await test.send("m1", { ttlMs: HOUR_MS });
      // The step was wrong; a person sets the clock back.
      test.home.time.wall -= 10 * HOUR_MS;
      test.home.time.passWall(HOUR_MS / 2);
      await test.queue.keepHouse();
      expect((await test.queue.show(during.id)).expiresAt).toBe(test.home.time.wall + HOUR_MS);
      test.home.time.passWall(HOUR_MS / 2);
      await test.queue.keepHouse();
      expect(statesOf(await Promise.all([before.id, during.id].map((id) => test.queue.show(id))))).toEqual([
        "expired",
        "queued",
      ]);
    });

    test("a host without a clock at its start loses nothing when its time is set", async () => {
      const home = newHome();
      home.time.wall = 0;
      const test = await TestQueue.open(home);
      const { id } = await test.send("m0", { ttlMs: HOUR_MS });
      await test.start();
      home.time.wall = Date.UTC(2027, 0, 1);
      home.time.wallClock.confirm();
      await test.queue.keepHouse();
      expect(await test.queue.show(id)).toMatchObject({ state: "queued", expiresAt: home.time.wall + HOUR_MS });
    });
  });
});
