import { PythonClient, type PythonProtocol, pythonSdk } from "@usmp/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MessageView } from "../../src/control/methods.ts";
import { bytesOf, TestGateway } from "../support/gateways.ts";
import { onEachDatabase } from "../support/registries.ts";

const ID = "02:00:00:00:00:01";
/** The SDK sends a frame again after a second without its UTACK, and again (docs/interop.md): durable operation must not lead to that. */
const RESENT_AFTER_MS = 1_000;

describe.runIf(pythonSdk().available)("the Python SDK as a device of a gateway in durable operation", () => {
  let python: PythonClient;
  beforeAll(async () => {
    python = await PythonClient.start();
  });
  afterAll(() => python[Symbol.asyncDispose]());

  onEachDatabase("the store", (newHome) => {
    test.each(["tcp", "udp"] as const)("has each message before the SDK hears so, over %s", async (protocol) => {
      const running = await TestGateway.open(newHome(), { messages: { durable: true } });
      const { psk } = await running.add(ID);
      const session = await connect(running, protocol, psk);
      const texts = Array.from({ length: 40 }, (_, index) => `reading ${index} ${"x".repeat(index * 10)}`);
      const times: number[] = [];
      for (const text of texts) {
        const began = performance.now();
        await session.send(text);
        times.push(performance.now() - began);
        // Over UDP its send() waits for the UTACK.
        if (protocol === "udp") expect((await stored(running)).at(-1)).toBe(text);
      }
      await expect.poll(() => stored(running)).toEqual(texts);
      await session.bye();
      times.sort((a, b) => a - b);
      expect(times[Math.floor(times.length / 2)]).toBeLessThan(RESENT_AFTER_MS / 2);
    });
  });

  async function stored(running: TestGateway): Promise<(string | undefined)[]> {
    return ((await running.all("message.log", { id: ID })) as MessageView[]).map(({ text }) => text);
  }

  function connect(running: TestGateway, protocol: PythonProtocol, psk: string): ReturnType<PythonClient["connect"]> {
    const deviceId = Buffer.from(ID.replaceAll(":", ""), "hex");
    return python.connect({ host: "127.0.0.1", port: running.port(protocol), psk: bytesOf(psk), protocol, deviceId });
  }
});
