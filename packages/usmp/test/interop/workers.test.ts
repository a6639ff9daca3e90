import { PythonClient, pythonSdk } from "@usmp/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOOPBACK, TEST_PSK, textOf } from "../support/loopback.ts";
import { buildWorkers, serveWithWorkers } from "../support/workers.ts";

const AT_ONCE = 12;
const ROUNDS = 5;

describe.skipIf(!pythonSdk().available)("two workers and the Python SDK", () => {
  let python: PythonClient;

  beforeAll(async () => {
    buildWorkers();
    python = await PythonClient.start();
  }, 120_000);
  afterAll(() => python[Symbol.asyncDispose]());

  test.each(["tcp", "udp"] as const)(
    "its clients are served at once over %s, and none is mixed up",
    async (protocol) => {
      const { listening } = await serveWithWorkers({
        onSession: async (session) => {
          for await (const message of session) await session.send(`${session.deviceId} ${textOf(message)}`);
        },
      });
      const { port } = listening.address(protocol);
      const theirs = await Promise.all(
        Array.from({ length: AT_ONCE }, () => python.connect({ host: LOOPBACK, port, psk: TEST_PSK, protocol })),
      );
      for (let round = 0; round < ROUNDS; round++) {
        await Promise.all(theirs.map((session) => session.send(`${round}`)));
        const answers = await Promise.all(theirs.map((session) => session.receive()));
        expect(answers.map(String)).toEqual(theirs.map(({ deviceId }) => `${deviceId} ${round}`));
      }
      await Promise.all(theirs.map((session) => session.bye()));
      await expect.poll(() => listening.server.sessions.size).toBe(0);
      expect(listening.server.statistics).toMatchObject({ sessionsEstablished: AT_ONCE, refused: {} });
    },
  );
});
