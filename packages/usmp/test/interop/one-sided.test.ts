import { setTimeout as delay } from "node:timers/promises";
import { PythonClient, type PythonProtocol, pythonSdk } from "@usmp/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { LOOPBACK, serve, TEST_PSK } from "../support/loopback.ts";

const KEEPALIVE_MS = 300;
const IDLE_TIMEOUT_MS = 1_000;

describe.skipIf(!pythonSdk().available)("a session in which only our side talks", () => {
  test.each(["tcp", "udp"] satisfies PythonProtocol[])(
    "over %s stays while the SDK's client listens",
    async (protocol) => {
      const python = await PythonClient.start();
      onTestFinished(() => python[Symbol.asyncDispose]());
      const listening = await serve({ keepaliveMs: KEEPALIVE_MS, idleTimeoutMs: IDLE_TIMEOUT_MS });
      const theirs = await python.connect({
        host: LOOPBACK,
        port: listening.address(protocol).port,
        psk: TEST_PSK,
        protocol,
      });
      const ours = await listening.accept();
      // The SDK's client sends nothing of its own, and answers a PING while it receives.
      for (let elapsed = 0; elapsed < 3 * IDLE_TIMEOUT_MS && ours.open; elapsed += 100) {
        await ours.send(`${elapsed} ms`);
        await theirs.receive();
        await delay(100);
      }
      expect(ours.open).toBe(true);
    },
  );
});
