import { randomBytes } from "node:crypto";
import { PythonClient, type PythonProtocol, pythonSdk } from "@usmp/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOOPBACK, open, serve, TEST_PSK, textOf } from "../support/loopback.ts";
import { startPythonServer } from "./meeting.ts";

const IN_A_ROW = 50;
const AT_ONCE = 8;

describe.skipIf(!pythonSdk().available)("many sessions with the Python SDK", () => {
  let python: PythonClient;

  beforeAll(async () => {
    python = await PythonClient.start();
  });
  afterAll(() => python[Symbol.asyncDispose]());

  describe.each(["tcp", "udp"] as const)("over %s", (protocol) => {
    test(`our server serves ${IN_A_ROW} of their connections one after another`, async () => {
      const listening = await serve();
      const sessionIds = new Set<string>();
      for (let number = 0; number < IN_A_ROW; number++) {
        const theirs = await theirConnection(listening.address(protocol).port, protocol);
        const ours = await listening.accept();
        await theirs.send(`hello ${number}`);
        expect(textOf(await ours.receive())).toBe(`hello ${number}`);
        await theirs.bye();
        expect(await ours.closed).toEqual({ code: "closed-by-peer" });
        sessionIds.add(ours.sessionId);
      }
      expect(sessionIds.size).toBe(IN_A_ROW);
      expect(listening.server.statistics).toMatchObject({
        sessionsEstablished: IN_A_ROW,
        sessionsOpen: 0,
        refused: {},
      });
    });

    test(`our server serves ${AT_ONCE} of their connections at once and mixes none up`, async () => {
      const listening = await serve({
        onSession: async (session) => {
          for await (const message of session) await session.send(`${session.deviceId} ${textOf(message)}`);
        },
      });
      const theirs = await Promise.all(
        Array.from({ length: AT_ONCE }, () => theirConnection(listening.address(protocol).port, protocol)),
      );
      expect(listening.server.sessions.size).toBe(AT_ONCE);
      await Promise.all(theirs.map((session, number) => session.send(`${number}`)));
      const answers = await Promise.all(theirs.map((session) => session.receive()));
      expect(answers.map(String)).toEqual(theirs.map(({ deviceId }, number) => `${deviceId} ${number}`));
    });

    test(`their server serves ${IN_A_ROW} of our connections one after another`, async () => {
      const server = await startPythonServer({ psk: TEST_PSK, protocol });
      for (let number = 0; number < IN_A_ROW; number++) {
        const ours = await open(server.address, { transport: protocol });
        const theirs = await server.accept();
        await ours.send(`hello ${number}`);
        expect(String(await theirs.receive())).toBe(`hello ${number}`);
        await ours.close();
        await theirs.closed;
      }
    });

    test(`their server serves ${AT_ONCE} of our connections at once and mixes none up`, async () => {
      const server = await startPythonServer({ psk: TEST_PSK, protocol, echo: true });
      const ours = await Promise.all(
        Array.from({ length: AT_ONCE }, () =>
          open(server.address, { transport: protocol, deviceId: new Uint8Array(randomBytes(6)) }),
        ),
      );
      await Promise.all(ours.map((session, number) => session.send(`${number}`)));
      const answers = await Promise.all(ours.map((session) => session.receive()));
      expect(answers.map(textOf)).toEqual(ours.map((_, number) => `${number}`));
    });
  });

  function theirConnection(port: number, protocol: PythonProtocol) {
    return python.connect({ host: LOOPBACK, port, psk: TEST_PSK, protocol });
  }
});
