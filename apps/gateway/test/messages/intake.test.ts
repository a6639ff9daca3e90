import type { Session } from "usmp";
import { describe, expect, test } from "vitest";
import type { MessageView } from "../../src/control/methods.ts";
import { nextMaster } from "../../src/master/open-master.ts";
import type { MessageSettings } from "../../src/messages/messages.ts";
import { TestGateway } from "../support/gateways.ts";
import { onEachDatabase, type TestHome } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

async function open(home: TestHome, messages: Partial<MessageSettings> = {}): Promise<TestGateway> {
  return TestGateway.open(home, { messages });
}

async function log(running: TestGateway, params: object = {}): Promise<MessageView[]> {
  return (await running.all("message.log", params)) as MessageView[];
}

onEachDatabase("messages of devices", (newHome) => {
  describe.each(["tcp", "udp"] as const)("over %s", (transport) => {
    test.each([false, true])("are stored in order, numbered, told and read again (durable: %s)", async (durable) => {
      const running = await open(newHome(), { durable });
      const { psk } = await running.add(ID);
      const device = await running.device(ID, psk, transport);
      await Promise.all(numbers(50).map((text) => device.send(text)));
      await expect.poll(() => running.textsOf(ID)).toEqual(numbers(50));
      const stored = await log(running, { id: ID });
      expect(stored.map(({ text }) => text)).toEqual(numbers(50));
      expect(stored.map(({ sequence }) => sequence)).toEqual(numbers(50).map((n) => Number(n) + 1));
      expect(stored[0]).toMatchObject({ device: ID, direction: "in", session: device.sessionId });
      expect(await log(running, { limit: 3 })).toEqual(stored.slice(-3));
      expect(await log(running, { after: stored[9]?.id, limit: 3 })).toEqual(stored.slice(10, 13));
      expect(await log(running, { since: new Date(Date.now() + 60_000).toISOString() })).toEqual([]);
      expect(await log(running, { since: stored[0]?.time })).toEqual(stored);
      expect(await log(running, { id: OTHER })).toEqual([]);
    });
  });

  test("are told before the end of their session", async () => {
    const running = await open(newHome());
    const seen: string[] = [];
    running.gateway.events.on(({ type }) => seen.push(type));
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk);
    for (const text of numbers(20)) await device.send(text);
    await device.close();
    await expect.poll(() => seen.includes("session-ended")).toBe(true);
    expect(seen.filter((type) => type === "message")).toHaveLength(20);
    expect(seen.lastIndexOf("message")).toBeLessThan(seen.indexOf("session-ended"));
  });

  test("that are sealed lie unreadable, and are read after a move to another master", async () => {
    const home = newHome();
    const running = await open(home, { sealed: true });
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk);
    await device.send("a secret reading");
    await expect.poll(() => running.textsOf(ID)).toEqual(["a secret reading"]);
    const next = await nextMaster(
      { kind: "file", path: `${home.directory}/master` },
      { variables: {}, askPassphrase: undefined },
      undefined,
    );
    await running.gateway.registry.rotateMaster(next, { graceMs: 60_000 }, { who: "test", from: "test" });
    await device.send("another");
    await expect.poll(() => running.textsOf(ID)).toHaveLength(2);
    expect((await log(running)).map(({ text }) => text)).toEqual(["a secret reading", "another"]);
    await running.gateway.close();
    const again = await open(home);
    expect((await log(again)).map(({ text }) => text)).toEqual(["a secret reading", "another"]);
  });

  test("go, the oldest first, when there are too many bytes of one device", async () => {
    const running = await open(newHome(), { keepBytesPerDevice: 10_000 });
    const keys = { [ID]: await running.add(ID), [OTHER]: await running.add(OTHER) };
    const device = await running.device(ID, keys[ID]?.psk ?? "");
    const other = await running.device(OTHER, keys[OTHER]?.psk ?? "");
    await other.send("stays");
    for (const text of numbers(100)) await device.send(text.padEnd(200, "."));
    await expect.poll(async () => (await log(running, { id: ID })).length).toBeLessThanOrEqual(31);
    await expect.poll(() => running.textsOf(ID)).toHaveLength(100);
    const kept = (await log(running, { id: ID })).map(({ text }) => text?.replaceAll(".", ""));
    expect(kept.length).toBeGreaterThan(10);
    expect(kept).toEqual(numbers(100).slice(-kept.length));
    expect((await log(running, { id: OTHER })).map(({ text }) => text)).toEqual(["stays"]);
  });

  test("are followed without a gap and without one twice, from what is stored into what comes", async () => {
    const running = await open(newHome());
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk);
    const sending = (async () => {
      for (const text of numbers(1_500)) {
        await device.send(text);
        if (Number(text) % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const followed: string[] = [];
    for await (const item of running.control.stream("message.log", { follow: true })) {
      if ("dropped" in item) throw new Error(`${item.dropped} dropped`);
      followed.push(item.text ?? "");
      if (followed.length === 1_500) break;
    }
    await sending;
    expect(followed).toEqual(numbers(1_500));
  });
});

const fullDisk = async (running: TestGateway, device: Session): Promise<void> => {
  await device.send("before");
  await expect.poll(() => running.textsOf(ID)).toContain("before");
};

onEachDatabase("while the database takes nothing", (newHome) => {
  test("a device in durable operation waits for its UTACK, its session lives on, and nothing is lost", async ({
    skip,
  }) => {
    const home = newHome();
    if (home.postgres === undefined) return skip();
    const running = await open(home, { durable: true });
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk, "udp");
    await fullDisk(running, device);
    const notices: string[] = [];
    running.gateway.events.on((event) => event.type === "notice" && notices.push(event.message));
    home.postgres.stop();
    let sent = false;
    const sending = device.send("kept").then(() => {
      sent = true;
    });
    await expect.poll(() => notices).toEqual([expect.stringMatching(/cannot be stored: .*; devices wait/)]);
    await device.ping();
    expect([sent, device.open]).toEqual([false, true]);
    home.postgres.start();
    await sending;
    expect(running.textsOf(ID)).toEqual(["before", "kept"]);
    expect((await log(running)).map(({ text }) => text)).toEqual(["before", "kept"]);
  });

  test("otherwise messages are told at once, and stored later", async ({ skip }) => {
    const home = newHome();
    if (home.postgres === undefined) return skip();
    const running = await open(home);
    const { psk } = await running.add(ID);
    const device = await running.device(ID, psk, "udp");
    await fullDisk(running, device);
    home.postgres.stop();
    await device.send("live");
    await expect.poll(() => running.textsOf(ID)).toEqual(["before", "live"]);
    home.postgres.start();
    await expect.poll(async () => (await log(running)).map(({ text }) => text)).toEqual(["before", "live"]);
    expect(running.textsOf(ID)).toEqual(["before", "live"]);
  });
});
