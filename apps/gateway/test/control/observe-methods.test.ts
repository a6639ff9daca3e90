import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EventView } from "../../src/control/methods.ts";
import { inbound } from "../sinks/messages.ts";
import { TestGateway } from "../support/gateways.ts";
import { TestHome } from "../support/registries.ts";

let home: TestHome;
let testGateway: TestGateway;
beforeEach(async () => {
  home = new TestHome(undefined);
  testGateway = await TestGateway.open(home);
});
afterEach(() => home.remove());

/** What a follower hears, up to the first that `last` takes; `act` when it listens. */
async function follow(
  params: { types?: string[]; id?: string },
  act: () => Promise<unknown>,
  last: (event: EventView) => boolean,
): Promise<EventView[]> {
  const heard: EventView[] = [];
  const stream = testGateway.control.stream("events", params)[Symbol.asyncIterator]();
  const first = stream.next();
  // The same connection answers in order: the stream is open once this is.
  await testGateway.control.call("gateway.status", {});
  await act();
  for (let next = await first; next.done !== true; next = await stream.next()) {
    heard.push(next.value);
    if (last(next.value)) break;
  }
  await stream.return?.();
  return heard;
}

describe("session.list", () => {
  test("has each live session with its counters; null is what is not known", async () => {
    const { id, psk } = await testGateway.add("02:00:00:00:00:01", { name: "pump" });
    const other = await testGateway.add("02:00:00:00:00:02");
    const udp = await testGateway.device(id, psk, "udp");
    const tcp = await testGateway.device(other.id, other.psk, "tcp");
    await udp.send("twelve bytes");
    await tcp.send("x");
    const lines = async () => testGateway.all("session.list", {});
    await expect.poll(async () => (await lines()).map(({ messagesIn }) => messagesIn)).toEqual([1, 1]);
    const [first, second] = await lines();
    expect(first).toMatchObject({
      device: id,
      name: "pump",
      session: udp.sessionId,
      transport: "udp",
      generation: 1,
      messagesIn: 1,
      loss: 0,
    });
    expect(first?.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(first?.bytesIn).toBeGreaterThan(12);
    expect(Math.abs(Date.parse(String(first?.since)) - Date.now())).toBeLessThan(60_000);
    expect(second).toMatchObject({ device: other.id, name: null, transport: "tcp", loss: null, roundTripMs: null });
    const served = testGateway.sessions.find(({ session }) => session.sessionId === tcp.sessionId);
    await served?.session.ping();
    expect((await lines())[1]?.roundTripMs).toBeGreaterThan(0);
    await tcp.close();
    await expect.poll(async () => (await lines()).length).toBe(1);
  });
});

describe("events", () => {
  test("tells what happens, in order, with times as texts", async () => {
    const { id, psk } = await testGateway.add("02:00:00:00:00:01");
    const heard = await follow(
      {},
      async () => {
        const session = await testGateway.device(id, psk, "udp");
        testGateway.gateway.events.emit({ type: "message", message: inbound(7, "hello") });
        await session.close();
        await testGateway.control.call("device.suspend", { id });
      },
      ({ type, change }) => type === "registry" && change === "suspended",
    );
    const of = (type: string) => heard.find((event) => event.type === type);
    expect(of("session")).toMatchObject({ device: id, generation: 1, transport: "udp" });
    expect(of("message")).toMatchObject({ id: 7, data: "aGVsbG8=", text: "hello", time: "2026-12-01T00:00:00.007Z" });
    expect(of("session-ended")).toMatchObject({ device: id, reason: "closed-by-peer" });
    for (const { time } of heard) expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test("of one device, or of some types, alone", async () => {
    const { events } = testGateway.gateway;
    const other = "02:00:00:00:00:02";
    const notice = { type: "notice", time: 0, topic: "test", message: "end" } as const;
    const emitAll = async (): Promise<void> => {
      events.emit({ type: "message", message: inbound(1) });
      events.emit({ type: "message", message: inbound(2, "x", other) });
      events.emit(notice);
      events.emit({ type: "message", message: inbound(3, "x", other) });
    };
    const ofOther = await follow({ id: other.toUpperCase() }, emitAll, ({ id }) => id === 3);
    expect(ofOther.map(({ id }) => id)).toEqual([2, 3]);
    expect(await follow({ types: ["notice"] }, emitAll, () => true)).toEqual([
      { ...notice, time: "1970-01-01T00:00:00.000Z" },
    ]);
  });

  test("what is no type is refused with what there is", async () => {
    const ask = (types: unknown) => testGateway.all("events", { types } as { types: string[] });
    await expect(ask(["mesage"])).rejects.toThrow('no events of the type "mesage"; did you mean message?');
    await expect(ask([7])).rejects.toThrow("there are session, session-ended, moved");
    await expect(ask("message")).rejects.toThrow("a list of session");
    await expect(testGateway.all("events", { id: "pump" })).rejects.toThrow("device id");
  });

  test("who goes away without an event is forgotten", async () => {
    const { events } = testGateway.gateway;
    let listeners = 0;
    const on = events.on.bind(events);
    events.on = (listener) => {
      listeners++;
      const stop = on(listener);
      return () => {
        listeners--;
        stop();
      };
    };
    const stream = testGateway.control.stream("events", {})[Symbol.asyncIterator]();
    void stream.next().catch(() => {});
    await expect.poll(() => listeners).toBe(1);
    testGateway.control.close();
    await expect.poll(() => listeners).toBe(0);
  });
});
