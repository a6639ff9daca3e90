import { randomBytes } from "node:crypto";
import {
  PythonClient,
  PythonError,
  type PythonProtocol,
  PythonServer,
  type PythonSession,
  pythonSdk,
} from "@usmp/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { look } from "../src/python-sdk.ts";

const TEST_PSK = Buffer.from("a test key that opens nothing...");
const OTHER_TEST_PSK = Buffer.from("another test key, equally empty.");
const DEVICE_ID = Buffer.from("020000000001", "hex");

describe.skipIf(!pythonSdk().available)(
  "the Python SDK, talking to itself through the testkit",
  { timeout: 30_000 },
  () => {
    let clients: PythonClient;
    let servers: PythonServer[] = [];

    beforeAll(async () => {
      clients = await PythonClient.start();
    });

    afterEach(async () => {
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
      servers = [];
    });

    afterAll(() => clients[Symbol.asyncDispose]());

    describe.each(["tcp", "udp"] as const)("over %s", (protocol) => {
      test("exchanges messages, pings both ways, rekeys, and ends with BYE", async () => {
        const server = await serve(protocol, TEST_PSK);
        const client = await connect(server, protocol);
        const accepted = await server.accept();
        expect(accepted).toMatchObject({ deviceId: "02:00:00:00:00:01", sessionId: client.sessionId });
        expect(accepted.peer?.host).toBe("127.0.0.1");

        await exchange(client, accepted);
        await client.ping();
        await accepted.ping();
        const before = await client.state();
        await client.rekey();
        await exchange(client, accepted);
        const after = await client.state();
        expect(after.transmitKey).not.toEqual(before.transmitKey);
        expect(after.transmitKey).toEqual((await accepted.state()).receiveKey);
        expect(after.transmitSeq).toBe(1);

        await client.bye();
        expect((await accepted.closed).type).toBe("ConnectionClosedError");
        await expect(accepted.receive()).rejects.toThrow(PythonError);
      });

      test("echoes when asked", async () => {
        const server = await serve(protocol, TEST_PSK, true);
        const client = await connect(server, protocol);
        await client.send(new Uint8Array(452).fill(7));
        expect(await client.receive()).toEqual(Buffer.alloc(452, 7));
        await client.drop();
      });

      test("finds keys in a table", async () => {
        const server = await serve(protocol, { [DEVICE_ID.toString("hex")]: TEST_PSK, "": OTHER_TEST_PSK });
        expect((await connect(server, protocol)).deviceId).toBe("02:00:00:00:00:01");
        const stranger = Buffer.from("020000000002", "hex");
        expect((await connect(server, protocol, OTHER_TEST_PSK, stranger)).deviceId).toBe("02:00:00:00:00:02");
      });
    });

    test("asks a function for keys, and refuses a device that it knows none for", async () => {
      const asked: string[] = [];
      const server = await serve("tcp", async (deviceId) => {
        asked.push(deviceId);
        return deviceId === "020000000001" ? TEST_PSK : undefined;
      });
      await connect(server, "tcp");
      const unknown = connect(server, "tcp", TEST_PSK, Buffer.from("020000000009", "hex"));
      await expect(unknown).rejects.toMatchObject({ name: "PythonError", type: "HandshakeError" });
      expect(asked).toEqual(["020000000001", "020000000009"]);
      expect(await server.nextLogLine()).toContain("Device ID not registered");
    });

    test("tells why a handshake failed: at the client its error, at the server its log", async () => {
      const server = await serve("tcp", TEST_PSK);
      const failed = connect(server, "tcp", OTHER_TEST_PSK);
      await expect(failed).rejects.toMatchObject({ type: "HandshakeError" });
      expect(await server.nextLogLine()).toContain("client HMAC verification failed");
      const nobody = clients.connect({ host: "127.0.0.1", port: 1, psk: TEST_PSK, protocol: "tcp" });
      await expect(nobody).rejects.toMatchObject({ type: "ConnectionRefusedError" });
    });

    test("connects again after five failures once it was told to forgive", async () => {
      const server = await serve("tcp", TEST_PSK);
      for (let i = 0; i < 5; i++) await connect(server, "tcp", OTHER_TEST_PSK).catch(() => {});
      // Which of the two the SDK says depends on whether its HELLO was read before the server closed.
      await expect(connect(server, "tcp")).rejects.toThrow(/Connection closed|Connection reset/);
      await server.forgive();
      await connect(server, "tcp");
    });

    test("has several sessions in one process", async () => {
      const server = await serve("udp", TEST_PSK, true);
      const sessions = await Promise.all(
        Array.from({ length: 3 }, () => connect(server, "udp", TEST_PSK, randomBytes(6))),
      );
      await Promise.all(sessions.map((session, i) => session.send(`${i}`)));
      const answers = await Promise.all(sessions.map((session) => session.receive()));
      expect(answers.map(String)).toEqual(["0", "1", "2"]);
    });

    test("tells a session that its process is gone, and a wait that nothing came", async () => {
      const server = await serve("tcp", TEST_PSK);
      const client = await connect(server, "tcp");
      await expect(client.receive(20)).rejects.toThrow("no message at the Python peer within 20 ms");
      const accepted = await server.accept();
      await server[Symbol.asyncDispose]();
      expect((await accepted.closed).type).toBe("ProcessExited");
      expect((await client.closed).type).toMatch(/IncompleteReadError|ConnectionResetError/);
      await expect(accepted.send("x")).rejects.toThrow('has ended before "send"');
    });

    test("stops a server as the SDK does", async () => {
      const server = await serve("tcp", TEST_PSK);
      const client = await connect(server, "tcp");
      await server.stop();
      await client.closed;
      await expect(connect(server, "tcp")).rejects.toMatchObject({ type: "ConnectionRefusedError" });
    });

    async function serve(protocol: PythonProtocol, psk: Parameters<typeof PythonServer.start>[0]["psk"], echo = false) {
      const server = await PythonServer.start({ psk, protocol, echo });
      servers.push(server);
      return server;
    }

    function connect(
      server: PythonServer,
      protocol: PythonProtocol,
      psk: Uint8Array = TEST_PSK,
      deviceId: Uint8Array = DEVICE_ID,
    ) {
      return clients.connect({ ...server.address, psk, protocol, deviceId });
    }

    async function exchange(a: PythonSession, b: PythonSession): Promise<void> {
      await a.send("to b");
      expect(String(await b.receive())).toBe("to b");
      await b.send("to a");
      expect(String(await a.receive())).toBe("to a");
    }
  },
);

describe("looking for the Python SDK", () => {
  test("names an interpreter that does not run, with the way to install one that does", () => {
    const { available, reason } = look("/nonexistent/python");
    expect(available).toBe(false);
    expect(reason).toContain("/nonexistent/python does not run");
    expect(reason).toContain("pip install usmp==1.2.2");
  });

  test("tells an interpreter without the package from one with it", () => {
    // Node understands -c as a syntax check of a file, and fails: an interpreter that imports nothing.
    expect(look(process.execPath)).toMatchObject({ available: false, interpreter: undefined });
  });
});
