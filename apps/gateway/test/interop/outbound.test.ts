import { PythonClient, type PythonProtocol, pythonSdk } from "@usmp/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesOf, TestGateway } from "../support/gateways.ts";
import { onEachDatabase } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";

describe.runIf(pythonSdk().available)("the Python SDK as a device that messages are queued for", () => {
  let python: PythonClient;
  beforeAll(async () => {
    python = await PythonClient.start();
  });
  afterAll(() => python[Symbol.asyncDispose]());

  onEachDatabase("the queue", (newHome) => {
    test.each(["tcp", "udp"] as const)("drains in order over %s, and goes on while it is there", async (protocol) => {
      const running = await TestGateway.open(newHome());
      const { psk } = await running.add(ID);
      const texts = Array.from({ length: 30 }, (_, index) => `message ${index} ${"x".repeat(index * 15)}`);
      const send = async (text: string): Promise<number> => {
        const data = Buffer.from(text).toString("base64");
        return (await running.control.call("message.send", { id: ID, data })).message;
      };
      for (const text of texts) await send(text);
      const session = await connect(running, protocol, psk);
      for (const text of texts) expect((await session.receive()).toString()).toBe(text);
      await expect.poll(() => running.all("message.queue", {})).toEqual([]);
      const last = await send("and one more");
      expect((await session.receive()).toString()).toBe("and one more");
      const states = await running.all("message.follow", { message: last });
      expect(states.at(-1)).toMatchObject({ state: "confirmed", attempts: 1, maybeTwice: false });
      await session.bye();
      await send("later");
      const next = await connect(running, protocol, psk);
      expect((await next.receive()).toString()).toBe("later");
      await next.bye();
    });
  });

  function connect(running: TestGateway, protocol: PythonProtocol, psk: string): ReturnType<PythonClient["connect"]> {
    const deviceId = Buffer.from(ID.replaceAll(":", ""), "hex");
    return python.connect({ host: "127.0.0.1", port: running.port(protocol), psk: bytesOf(psk), protocol, deviceId });
  }
});
