import { PythonClient, pythonSdk } from "@usmp/testkit";
import { UsageError } from "usmp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { patterned, textOf } from "../support/loopback.ts";
import { type Meeting, meet, ROLES_AND_PROTOCOLS } from "./meeting.ts";

/** The edges of frames (452 bytes of plaintext each) and of messages (four frames). */
const LENGTHS = [0, 1, 451, 452, 453, 904, 1356, 1808];

describe.skipIf(!pythonSdk().available)("a session with the Python SDK", () => {
  let python: PythonClient;

  beforeAll(async () => {
    python = await PythonClient.start();
  });
  afterAll(() => python[Symbol.asyncDispose]());

  describe.each(ROLES_AND_PROTOCOLS)("between %s", (_, role, protocol) => {
    test("carries messages of every length from 0 to 1,808 bytes in both directions", async () => {
      const { ours, theirs } = await meet(python, role, protocol);
      for (const length of LENGTHS) {
        const message = patterned(length);
        await ours.send(message);
        expect(await theirs.receive(), `${length} bytes to the SDK`).toEqual(Buffer.from(message));
        await theirs.send(message);
        expect(Buffer.from((await ours.receive()) ?? []), `${length} bytes to us`).toEqual(Buffer.from(message));
      }
    });

    test("refuses a message of 1,809 bytes on either side and lives on", async () => {
      const meeting = await meet(python, role, protocol);
      await expect(meeting.ours.send(patterned(1809))).rejects.toThrow(UsageError);
      await expect(meeting.ours.send(patterned(1809))).rejects.toMatchObject({ code: "message-too-long" });
      await expect(meeting.theirs.send(patterned(1809))).rejects.toMatchObject({ name: "PythonError" });
      await expectExchange(meeting);
    });

    test("keeps many messages of both sides in order while they cross", async () => {
      const { ours, theirs } = await meet(python, role, protocol);
      const count = 100;
      const numbers = Array.from({ length: count }, (_, number) => `${number}`);
      const received: string[] = [];
      const sendTheirs = async (): Promise<void> => {
        for (const number of numbers) await theirs.send(number);
      };
      const readTheirs = async (): Promise<void> => {
        for (const number of numbers) expect(String(await theirs.receive())).toBe(number);
      };
      const readOurs = async (): Promise<void> => {
        while (received.length < count) received.push(textOf(await ours.receive()) ?? "");
      };
      await Promise.all([...numbers.map((number) => ours.send(number)), sendTheirs(), readTheirs(), readOurs()]);
      expect(received).toEqual(numbers);
    });

    test("answers a ping of either side", async () => {
      const { ours, theirs } = await meet(python, role, protocol);
      expect(await ours.ping()).toBeGreaterThan(0);
      await theirs.ping();
      expect(ours.open).toBe(true);
    });

    test("ends for both with our BYE", async () => {
      const { ours, theirs } = await meet(python, role, protocol);
      await ours.send("the last word");
      expect(await ours.close()).toEqual({ code: "closed-locally" });
      expect(String(await theirs.receive())).toBe("the last word");
      expect(await theirs.closed).toMatchObject({
        type: "ConnectionClosedError",
        message: expect.stringContaining("BYE"),
      });
    });

    test("ends for both with their BYE", async () => {
      const { ours, theirs } = await meet(python, role, protocol);
      await theirs.send("their last word");
      await theirs.bye();
      expect(await ours.closed).toEqual({ code: "closed-by-peer" });
      expect(textOf(await ours.receive())).toBe("their last word");
      expect(await ours.receive()).toBeUndefined();
    });

    test("goes on with data both ways after our REKEY on a quiet line", async () => {
      const meeting = await meet(python, role, protocol);
      await expectExchange(meeting);
      const before = await meeting.theirs.state();
      await meeting.ours.rekey();
      await expectExchange(meeting);
      const after = await meeting.theirs.state();
      expect(after.transmitKey).not.toEqual(before.transmitKey);
      expect(after.receiveKey).not.toEqual(before.receiveKey);
      expect(meeting.ours.statistics.epoch).toBe(1);
    });

    test("goes on with data both ways after their REKEY on a quiet line", async () => {
      const meeting = await meet(python, role, protocol);
      await expectExchange(meeting);
      const before = await meeting.theirs.state();
      await meeting.theirs.rekey();
      await expectExchange(meeting);
      expect((await meeting.theirs.state()).transmitKey).not.toEqual(before.transmitKey);
      expect(meeting.ours.statistics.epoch).toBe(1);
    });

    test("survives a REKEY of each side, one after the other, with long messages between them", async () => {
      const meeting = await meet(python, role, protocol);
      await meeting.theirs.rekey();
      await expectExchange(meeting, 1808);
      await meeting.ours.rekey();
      await expectExchange(meeting, 1808);
      expect(meeting.ours.statistics.epoch).toBe(2);
    });
  });

  /** Both sides send one message; theirs first, so that a REKEY of ours cannot cross it. */
  async function expectExchange({ ours, theirs }: Meeting, length = 5): Promise<void> {
    const message = Buffer.from(patterned(length));
    await theirs.send(message);
    expect(Buffer.from((await ours.receive()) ?? [])).toEqual(message);
    await ours.send(message);
    expect(await theirs.receive()).toEqual(message);
  }
});
