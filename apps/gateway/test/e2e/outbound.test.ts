import { randomBytes } from "node:crypto";
import type { Session } from "usmp";
import { describe, expect, test } from "vitest";
import type { OutboundView } from "../../src/control/methods.ts";
import { TestGateway } from "../support/gateways.ts";
import { onEachDatabase } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
const OTHER = "02:00:00:00:00:02";
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const textOf = (message: Uint8Array | undefined): string | undefined =>
  message === undefined ? undefined : Buffer.from(message).toString();

async function receiveTexts(session: Session, count: number): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  while (texts.length < count) texts.push(textOf(await session.receive()));
  return texts;
}

/** The states that a message goes through from now on. */
async function follow(running: TestGateway, message: number): Promise<OutboundView[]> {
  return running.all("message.follow", { message });
}

onEachDatabase("messages to devices", (newHome) => {
  describe.each(["tcp", "udp"] as const)("over %s", (transport) => {
    test("wait for a device that is offline, and are delivered in order when it comes", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const sent: OutboundView[] = [];
      for (const text of ["one", "two", "three"])
        sent.push(await running.control.call("message.send", { id: ID, data: base64(text) }));
      expect(sent.map(({ state }) => state)).toEqual(["queued", "queued", "queued"]);
      expect(await running.all("message.queue", {})).toEqual(sent);
      const following = follow(running, sent[2]?.message ?? 0);
      const device = await running.device(ID, psk, transport);
      expect(await receiveTexts(device, 3)).toEqual(["one", "two", "three"]);
      const states = await following;
      expect(states.map(({ state }) => state)).toEqual(["queued", "sent", "confirmed"]);
      expect(states.at(-1)).toMatchObject({ attempts: 1, maybeTwice: false, bytes: 5, device: ID });
      expect(await running.all("message.queue", {})).toEqual([]);
    });

    test("go at once to a device that is online, of any size up to 1,808 bytes", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const device = await running.device(ID, psk, transport);
      for (const size of [0, 1, 452, 453, 1_808]) {
        const data = randomBytes(size);
        const { message } = await running.control.call("message.send", { id: ID, data: data.toString("base64") });
        expect(Buffer.from((await device.receive()) ?? []).equals(data)).toBe(true);
        expect((await follow(running, message)).at(-1)?.state).toBe("confirmed");
      }
    });

    test("survive the end of a session, and what it had and did not confirm is marked as maybe twice", async () => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const first = await running.device(ID, psk, transport);
      await first.send("here I am");
      await expect.poll(() => running.sessions.length).toBe(1);
      first.abort();
      const { message } = await running.control.call("message.send", { id: ID, data: base64("lost?") });
      await expect.poll(async () => (await running.control.call("message.show", { message })).state).toBe("sent");
      for (const { session } of running.sessions) session.abort();
      await expect
        .poll(async () => running.control.call("message.show", { message }))
        .toMatchObject({ state: "queued", maybeTwice: true, attempts: 1 });
      const second = await running.device(ID, psk, transport);
      expect(await receiveTexts(second, 1)).toEqual(["lost?"]);
      expect((await follow(running, message)).at(-1)).toMatchObject({
        state: "confirmed",
        maybeTwice: true,
        attempts: 2,
      });
    });
  });
});
