import { setImmediate as nextTurn } from "node:timers/promises";
import { PythonClient, type PythonConnectOptions, pythonSdk } from "@usmp/testkit";
import { type ListenOptions, parseDeviceId } from "usmp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEVICE_ID, LOOPBACK, OTHER_TEST_PSK, open, serve, TEST_PSK } from "../support/loopback.ts";
import { startPythonServer } from "./meeting.ts";

const OTHER_DEVICE_ID = "d0:d1:d2:d3:d4:d6";
/** UDP says nothing to a wrong proof, so that either side only gives up when its handshake's time is over. Who is let in has all of it. */
const SHORT_HANDSHAKE_MS = 2_500;

describe.skipIf(!pythonSdk().available)("keys between us and the Python SDK", () => {
  let python: PythonClient;

  beforeAll(async () => {
    python = await PythonClient.start();
  });
  afterAll(() => python[Symbol.asyncDispose]());

  describe.each(["tcp", "udp"] as const)("over %s", (protocol) => {
    test("our server refuses their client with a wrong key, and says so", async () => {
      const listening = await ourServer({});
      await expect(theyConnect(listening, { psk: OTHER_TEST_PSK })).rejects.toMatchObject({ name: "PythonError" });
      await expect.poll(() => listening.refusals).toHaveLength(1);
      expect(listening.refusals[0]).toMatchObject({
        claimedDeviceId: DEVICE_ID,
        reason: { code: "authentication-failed", cause: "wrong-key" },
      });
    });

    test("our server refuses their client of an unknown device, and records why inside", async () => {
      const listening = await ourServer({ psk: (deviceId) => (deviceId === DEVICE_ID ? TEST_PSK : undefined) });
      const stranger = theyConnect(listening, { deviceId: parseDeviceId(OTHER_DEVICE_ID) });
      await expect(stranger).rejects.toMatchObject({ name: "PythonError" });
      await expect.poll(() => listening.refusals).toHaveLength(1);
      expect(listening.refusals[0]).toMatchObject({
        claimedDeviceId: OTHER_DEVICE_ID,
        reason: { code: "authentication-failed", cause: "unknown-device" },
      });
    });

    test("our server finds their client's key by a function, at once or later, among several", async () => {
      const asked: string[] = [];
      const listening = await serve({
        psk: async (deviceId) => {
          asked.push(deviceId);
          await nextTurn();
          return [OTHER_TEST_PSK, TEST_PSK];
        },
      });
      const theirs = await theyConnect(listening, { timeoutMs: undefined });
      const ours = await listening.accept();
      await theirs.send("found");
      expect(Buffer.from((await ours.receive()) ?? []).toString()).toBe("found");
      expect(asked).toEqual([DEVICE_ID]);
    });

    test("their server refuses our client with a wrong key, and our error names the key", async () => {
      const server = await startPythonServer({ psk: TEST_PSK, protocol });
      const refused = open(server.address, ourOptions({ psk: OTHER_TEST_PSK }));
      await expect(refused).rejects.toMatchObject({
        name: "ConnectError",
        code: protocol === "tcp" ? "refused-by-server" : "handshake-timeout",
        message: expect.stringContaining("the key is wrong, or the device id is not known there"),
      });
      expect(await server.nextLogLine()).toContain("HMAC verification failed");
    });

    test("their server refuses our client of an unknown device", async () => {
      const server = await startPythonServer({ psk: { d0d1d2d3d4d5: TEST_PSK }, protocol });
      const refused = open(server.address, ourOptions({ deviceId: OTHER_DEVICE_ID }));
      await expect(refused).rejects.toMatchObject({
        code: protocol === "tcp" ? "handshake-failed" : "handshake-timeout",
        message: expect.stringMatching(/not know the device id|the device id is known there/),
      });
      expect(await server.nextLogLine()).toContain("not registered");
      const known = await open(server.address, { transport: protocol });
      expect(known.open).toBe(true);
    });

    test("their server finds our client's key by a function", async () => {
      const asked: string[] = [];
      const server = await startPythonServer({
        protocol,
        echo: true,
        psk: (deviceId) => {
          asked.push(deviceId);
          return TEST_PSK;
        },
      });
      const ours = await open(server.address, { transport: protocol });
      await ours.send("found");
      expect(Buffer.from((await ours.receive()) ?? []).toString()).toBe("found");
      expect(asked).toEqual(["d0d1d2d3d4d5"]);
    });

    function ourServer(options: Partial<ListenOptions>) {
      return serve({ handshakeTimeoutMs: SHORT_HANDSHAKE_MS, ...options });
    }

    function ourOptions(options: object) {
      return { transport: protocol, handshakeTimeoutMs: SHORT_HANDSHAKE_MS, ...options } as const;
    }

    function theyConnect(listening: Awaited<ReturnType<typeof serve>>, options: Partial<PythonConnectOptions>) {
      const { port } = listening.address(protocol);
      return python.connect({
        host: LOOPBACK,
        port,
        psk: TEST_PSK,
        protocol,
        deviceId: parseDeviceId(DEVICE_ID),
        timeoutMs: SHORT_HANDSHAKE_MS,
        ...options,
      });
    }
  });
});
