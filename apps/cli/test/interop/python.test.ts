import { PythonClient, type PythonProtocol, PythonServer, pythonSdk } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { finished, server, TEST_KEY, usmp } from "../e2e/process.ts";

const sdk = pythonSdk();
const psk = Buffer.from(TEST_KEY, "hex");

const hostAndPort = (address: string) => {
  const [host, port] = address.split(":") as [string, string];
  return { host, port: Number(port) };
};

describe.runIf(sdk.available)("with the Python SDK", () => {
  describe.each<PythonProtocol>(["tcp", "udp"])("over %s", (protocol) => {
    test("its client sends to serve --echo, gets the echo, and its BYE is told", async () => {
      const serving = await server(["--echo"]);
      await using client = await PythonClient.start();
      const session = await client.connect({ ...hostAndPort(serving[protocol]), psk, protocol });
      await session.send("hello from Python");
      expect(Buffer.from(await session.receive()).toString()).toBe("hello from Python");
      await session.bye();
      const closed = await serving.child.stdout.line((line) => line.includes('"closed"'));
      expect(JSON.parse(closed)).toMatchObject({
        device: session.deviceId,
        session: session.sessionId,
        reason: "closed-by-peer",
      });
      const message = await serving.child.stdout.line((line) => line.includes('"message"'));
      expect(JSON.parse(message)).toMatchObject({ text: "hello from Python" });
    });

    test("send reaches its server and prints the reply", async () => {
      await using peer = await PythonServer.start({ psk, protocol, echo: true });
      const { host, port } = peer.address;
      const words = ["send", `${host}:${port}`, "to Python", "--wait", "1", `--${protocol}`, "--psk", TEST_KEY];
      expect(await finished(words)).toMatchObject({ code: 0, out: "to Python\n" });
    });

    test("connect sends lines to its server, with /ping and /rekey between them", async () => {
      await using peer = await PythonServer.start({ psk, protocol });
      const { host, port } = peer.address;
      const child = usmp(["connect", `${host}:${port}`, `--${protocol}`, "--psk", TEST_KEY]);
      const session = await peer.accept();
      child.endInput("one\n/ping\n/rekey\ntwo\n");
      expect(Buffer.from(await session.receive()).toString()).toBe("one");
      expect(Buffer.from(await session.receive()).toString()).toBe("two");
      expect(await child.exit).toEqual({ code: 0, signal: null });
      expect(child.stderr.text).toMatch(/^pong .* ms$/m);
      expect((await session.closed).type).toBe("ConnectionClosedError");
    });

    test("stopping serve says BYE to its client", async () => {
      const serving = await server();
      await using client = await PythonClient.start();
      const session = await client.connect({ ...hostAndPort(serving[protocol]), psk, protocol });
      await session.send("hello");
      serving.child.process.kill("SIGTERM");
      expect((await session.closed).type).toBe("ConnectionClosedError");
      expect(await serving.child.exit).toEqual({ code: 0, signal: null });
    });

    test("a wrong key is told by send as such", async () => {
      await using peer = await PythonServer.start({ psk: Buffer.alloc(32, 7), protocol });
      const { host, port } = peer.address;
      const { code, err } = await finished([
        "send",
        `${host}:${port}`,
        "x",
        `--${protocol}`,
        "--timeout",
        "3",
        "--psk",
        TEST_KEY,
      ]);
      expect(code).toBe(1);
      expect(err).toMatch(
        /^usmp: (refused-by-server|handshake-timeout): .*the key is wrong, or the device id is not known/m,
      );
    });
  });
});
