import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { absent, native } from "./addon.ts";

const sockets = absent ? undefined : native().sockets;

describe.skipIf(sockets === undefined)("a socket that shares its port", () => {
  it.each(["127.0.0.1", "::1", "::"])("takes TCP connections together with another one at %s", async (host) => {
    const first = await listening(sockets?.reusePortSocket("tcp", host, 0) as number);
    const { port } = first.address() as { port: number };
    const second = await listening(sockets?.reusePortSocket("tcp", host, port) as number);
    const counts = [0, 0];
    first.on("connection", (socket) => {
      counts[0] = (counts[0] as number) + 1;
      socket.end();
    });
    second.on("connection", (socket) => {
      counts[1] = (counts[1] as number) + 1;
      socket.end();
    });
    for (let i = 0; i < 64; i++) {
      const socket = connect(port, host === "::" ? "127.0.0.1" : host); // "::" takes IPv4 as well
      await once(socket.resume(), "close");
    }
    // All on one side: by chance once in 2^63 runs.
    expect((counts[0] as number) + (counts[1] as number)).toBe(64);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  it("takes datagrams, under the port that dgram then says", async () => {
    const socket = createSocket("udp4");
    onTestFinished(() => void socket.close());
    const fd = sockets?.reusePortSocket("udp", "127.0.0.1", 0) as number;
    await new Promise<void>((resolve) => socket.bind({ fd }, resolve)); // "listening" comes before bind() returns
    const sender = createSocket("udp4");
    onTestFinished(() => void sender.close());
    sender.send("hello", socket.address().port, "127.0.0.1");
    const [data] = await once(socket, "message");
    expect(String(data)).toBe("hello");
  });

  it("is not had where another holds the port alone: the error has the system's code", async () => {
    const alone = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void alone.close());
    await once(alone, "listening");
    const { port } = alone.address() as { port: number };
    expect(() => sockets?.reusePortSocket("tcp", "127.0.0.1", port)).toThrow(
      expect.objectContaining({ code: "EADDRINUSE", message: `cannot bind TCP port ${port} of 127.0.0.1: EADDRINUSE` }),
    );
  });

  it.each([
    ["localhost", 0],
    ["", 0],
    ["127.0.0.1", 65_536],
    ["127.0.0.1", -1],
    ["1".repeat(70), 0],
  ])("is refused for %j port %i", (host, port) => {
    expect(() => sockets?.reusePortSocket("tcp", host, port)).toThrow(RangeError);
  });
});

describe.skipIf(sockets === undefined)("datagrams on a descriptor that is none", () => {
  it.each([
    [0x7fff_ffff, Error],
    [2 ** 31, RangeError],
    [-1, RangeError],
  ])("%i is refused", (fd, kind) => {
    const table = new Uint8Array(20);
    expect(() => sockets?.sendDatagrams(fd, false, new Uint8Array(1), table, 1)).toThrow(kind);
  });

  it("need room for what is announced", () => {
    const table = new Uint8Array(20).fill(1);
    expect(() => sockets?.sendDatagrams(0x7fff_ffff, false, new Uint8Array(1), table, 1)).toThrow(RangeError);
    expect(() => sockets?.sendDatagrams(0x7fff_ffff, false, new Uint8Array(1), table, 2)).toThrow(RangeError);
  });
});

async function listening(fd: number): Promise<Server> {
  const server = createServer();
  onTestFinished(() => void server.close());
  server.listen({ fd });
  await once(server, "listening");
  return server;
}
