import { describe, expect, test } from "vitest";
import type { OutboundRecord } from "../../src/messages/messages.ts";
import { DEVICE, TestQueue } from "../support/outbound.ts";
import { ADA, onEachDatabase } from "../support/registries.ts";

const HOUR_MS = 3_600_000;
const OTHER = "02:00:00:00:00:02";
const texts = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `m${from + index}`);
const statesOf = (records: readonly OutboundRecord[]): string[] => records.map(({ state }) => state);

onEachDatabase("the outbound queue's rules", (newHome) => {
  describe("limits", () => {
    test("a device's queue holds so many messages and bytes, also of those that come at once; the error names limit and way out", async () => {
      const test = await TestQueue.open(newHome(), { settings: { queuePerDevice: 3, queueBytesPerDevice: 10 } });
      test.states.set(OTHER, "active");
      const outcomes = await Promise.allSettled(texts(5).map((text) => test.send(text)));
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
      await expect(test.send("x")).rejects.toMatchObject({
        code: "queue-full",
        message: /holds? 3 messages.*usmp device cancel.*--queue-per-device/,
      });
      await test.send("12345678", { device: OTHER });
      await expect(test.send("123", { device: OTHER })).rejects.toMatchObject({
        code: "queue-full",
        message: /10 bytes.*--queue-bytes-per-device/,
      });
      await test.send("12", { device: OTHER });
      const [first] = (await test.waiting(DEVICE)) as [OutboundRecord];
      await test.queue.cancel(first.id, ADA);
      await test.send("again");
    });

    test("what is too long, has no receiver, or no time, is refused with what to do", async () => {
      const test = await TestQueue.open(newHome());
      test.states.set(OTHER, "revoked");
      await expect(test.send("x".repeat(1_809))).rejects.toMatchObject({ code: "usage", message: /1809 bytes.*1808/ });
      await expect(test.send("x", { device: "02:00:00:00:00:77" })).rejects.toMatchObject({ code: "unknown-device" });
      await expect(test.send("x", { device: OTHER })).rejects.toMatchObject({ code: "device-state" });
      for (const ttlMs of [0, -1, 1.5, Number.NaN, 1e15])
        await expect(test.send("x", { ttlMs })).rejects.toMatchObject({ code: "usage" });
      for (const key of ["", "with blank", "x".repeat(129), "ü"])
        await expect(test.send("x", { key })).rejects.toMatchObject({ code: "usage" });
      expect(test.queue.depth.messages).toBe(0);
    });

    test("final records go after a day, on a trusted clock", async () => {
      const test = await TestQueue.open(newHome());
      const { id } = await test.send("m0", { ttlMs: 1 });
      const waits = await test.send("m1", { ttlMs: 100 * 24 * HOUR_MS });
      test.home.time.passWall(1_000);
      await test.queue.keepHouse();
      test.home.time.passWall(24 * HOUR_MS);
      await test.queue.keepHouse();
      expect((await test.queue.show(id)).state).toBe("expired");
      test.home.time.passWall(1);
      await test.queue.keepHouse();
      await expect(test.queue.show(id)).rejects.toMatchObject({ code: "unknown-message" });
      expect((await test.queue.show(waits.id)).state).toBe("queued");
    });
  });

  describe("a sender's key", () => {
    test("makes one message of several tries, at once, later, and after a restart", async () => {
      const test = await TestQueue.open(newHome());
      const tries = await Promise.all([1, 2, 3].map(() => test.send("m0", { key: "order-7" })));
      expect(new Set(tries.map(({ id }) => id)).size).toBe(1);
      expect((await test.send("m0", { key: "order-7" })).id).toBe(tries[0]?.id);
      await test.start();
      expect((await test.send("m0", { key: "order-7" })).id).toBe(tries[0]?.id);
      expect(await test.waiting()).toHaveLength(1);
      expect(test.queue.depth.messages).toBe(1);
    });

    test("belongs to one device and one message", async () => {
      const test = await TestQueue.open(newHome());
      test.states.set(OTHER, "active");
      await test.send("m0", { key: "order-7" });
      await expect(test.send("another", { key: "order-7" })).rejects.toMatchObject({
        code: "usage",
        message: /order-7/,
      });
      await test.send("another", { key: "order-7", device: OTHER });
      expect(await test.waiting()).toHaveLength(2);
    });
  });

  describe("is taken back", () => {
    test("while it is queued, not while a session has it, not when it is over", async () => {
      const test = await TestQueue.open(newHome(), { settings: { drainPerSecond: 5 } });
      const session = test.connect();
      const [first, second] = (await Promise.all(texts(2).map((text) => test.send(text)))) as [
        OutboundRecord,
        OutboundRecord,
      ];
      await expect.poll(() => session.wire.length).toBe(1);
      await expect(test.queue.cancel(first.id, ADA)).rejects.toMatchObject({
        code: "message-state",
        message: /is sent/,
      });
      expect(await test.queue.cancel(second.id, ADA)).toMatchObject({ state: "cancelled" });
      await expect(test.queue.cancel(second.id, ADA)).rejects.toMatchObject({ code: "message-state" });
      await expect(test.queue.cancel(999_999_999, ADA)).rejects.toMatchObject({ code: "unknown-message" });
      expect(test.appended).toEqual([{ action: "message.cancel", detail: { device: DEVICE, message: second.id } }]);
      await test.home.time.pass(1_000);
      await test.send("m2");
      session.arrive();
      session.acknowledge();
      await expect.poll(() => session.wire.length).toBe(1);
      session.arrive();
      expect(test.receivedBy()).toEqual(["m0", "m2"]);
    });

    test("when its device is revoked or deleted, a thousand of them, also when a crash came between", async () => {
      const test = await TestQueue.open(newHome());
      test.states.set(OTHER, "active");
      await Promise.all(texts(1_000).map((text) => test.send(text)));
      const kept = await test.send("kept", { device: OTHER });
      test.states.set(DEVICE, "revoked");
      test.queue.onChange({ type: "revoked", id: DEVICE });
      await expect.poll(() => test.queue.depth.messages).toBe(1);
      expect(await test.waiting()).toMatchObject([{ id: kept.id }]);
      test.states.delete(OTHER);
      await test.start();
      await expect.poll(() => test.queue.depth.messages).toBe(0);
      expect((await test.queue.show(kept.id)).state).toBe("cancelled");
    });

    test("not when its device is suspended: it waits", async () => {
      const test = await TestQueue.open(newHome());
      await test.send("m0");
      test.states.set(DEVICE, "suspended");
      test.queue.onChange({ type: "suspended", id: DEVICE });
      await test.send("m1");
      expect(statesOf(await test.waiting())).toEqual(["queued", "queued"]);
    });
  });

  describe("the audit", () => {
    test("has who sent how many to whom, the first soon and the rest by the minute, and never what", async () => {
      const test = await TestQueue.open(newHome());
      const { time } = test.home;
      const first = await test.send("secret m0");
      await test.queue.keepHouse();
      expect(test.audited).toEqual([{ device: DEVICE, actor: ADA, messages: 1, first: first.id, last: first.id }]);
      const [second] = (await Promise.all(texts(3).map((text) => test.send(text)))) as [OutboundRecord];
      await time.pass(59_000);
      await test.queue.keepHouse();
      expect(test.audited).toHaveLength(1);
      await time.pass(1_000);
      await test.queue.keepHouse();
      expect(test.audited.slice(1)).toMatchObject([{ messages: 3, first: second.id }]);
    });

    test("has after a crash what was not written before it, and nothing twice", async () => {
      const test = await TestQueue.open(newHome());
      await test.send("m0");
      await test.queue.keepHouse();
      await test.send("m1");
      await test.start();
      await test.queue.keepHouse();
      expect(test.audited.map(({ messages }) => messages)).toEqual([1, 1]);
      expect(test.audited[1]).toMatchObject({ device: DEVICE, actor: { who: ADA.who } });
      await test.start();
      await test.queue.close();
      expect(test.audited).toHaveLength(2);
    });
  });

  describe("following a message", () => {
    test("gives its present state and each that follows, and ends with a final one or its signal", async () => {
      const test = await TestQueue.open(newHome());
      const { id } = await test.send("m0");
      const states: string[] = [];
      const following = (async () => {
        for await (const { state } of test.queue.follow(id, new AbortController().signal)) states.push(state);
      })();
      await expect.poll(() => states.length).toBe(1);
      const session = test.connect("udp");
      await expect.poll(() => session.wire.length).toBe(1);
      session.arrive();
      session.acknowledge();
      await following;
      expect(states).toEqual(["queued", "sent", "confirmed"]);
      const after: string[] = [];
      for await (const { state } of test.queue.follow(id, new AbortController().signal)) after.push(state);
      expect(after).toEqual(["confirmed"]);
      const waits = await test.send("m1", { ttlMs: HOUR_MS });
      const controller = new AbortController();
      const endless = test.queue.follow(waits.id, controller.signal);
      await endless.next();
      const next = endless.next();
      session.cut();
      controller.abort();
      let step = await next;
      while (!step.done) step = await endless.next();
      await expect(test.queue.follow(999_999_999, controller.signal).next()).rejects.toMatchObject({
        code: "unknown-message",
      });
    });
  });
});
