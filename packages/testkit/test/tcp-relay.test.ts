import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { encodeFrame, FrameType } from "@usmp/protocol";
import { type RelayedPiece, TcpRelay, type TcpRelayOptions } from "@usmp/testkit";
import { afterEach, describe, expect, test } from "vitest";

const LOOPBACK = "127.0.0.1";
const cleanups: (() => unknown)[] = [];
const frame = (text: string): Uint8Array => encodeFrame(FrameType.HELLO, 0, Buffer.from(text));

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("a TCP relay", () => {
  test("passes both directions on unchanged, and the end of each, when it was told nothing", async () => {
    const { client, server } = await relayed({ unit: "chunks" });
    client.write("question");
    client.end();
    expect(await all(server)).toBe("question");
    server.end("answer");
    expect(await all(client)).toBe("answer");
  });

  test("gives whole frames to be rewritten, swallowed or multiplied, however they were cut", async () => {
    const seen: RelayedPiece[] = [];
    const rewrite = (piece: RelayedPiece) => {
      seen.push(piece);
      return [piece.bytes.slice(0, -1), [], [piece.bytes, piece.bytes], undefined][piece.index];
    };
    const { client, server } = await relayed({ rewrite });
    const frames = ["one", "two", "three", "four"].map(frame);
    const stream = Buffer.concat(frames);
    client.write(stream.subarray(0, 17));
    await new Promise((resolve) => setImmediate(resolve));
    client.end(stream.subarray(17));
    const [one, , three, four] = frames.map((each) => Buffer.from(each).toString("latin1")) as [
      string,
      string,
      string,
      string,
    ];
    expect(await all(server)).toBe(one.slice(0, -1) + three + three + four);
    expect(seen.map(({ direction, index }) => [direction, index])).toEqual(
      [0, 1, 2, 3].map((index) => ["client-to-server", index]),
    );
  });

  test("passes on a frame that was cut off by the end", async () => {
    const { client, server } = await relayed({});
    client.end(frame("whole").subarray(0, 14));
    expect(await all(server)).toBe(Buffer.from(frame("whole").subarray(0, 14)).toString("latin1"));
  });

  test("sends single bytes when asked, and loses none", async () => {
    const { client, server } = await relayed({ unit: "chunks", singleBytes: true });
    const chunks: Buffer[] = [];
    server.on("data", (chunk: Buffer) => chunks.push(chunk));
    client.end("x".repeat(50));
    await once(server, "end");
    expect(Buffer.concat(chunks).toString()).toBe("x".repeat(50));
    // The kernel may join a few when the machine is busy.
    expect(chunks.length).toBeGreaterThan(25);
  });

  test("holds pieces back in order when asked", async () => {
    const { client, server } = await relayed({ delayMs: 30 });
    const start = performance.now();
    client.write(frame("a"));
    client.end(frame("b"));
    const expected = Buffer.concat([frame("a"), frame("b")]).toString("latin1");
    expect(await all(server)).toBe(expected);
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  });

  test("injects an attacker's bytes in either direction", async () => {
    const { client, server, relay } = await relayed({ unit: "chunks" });
    client.write("x");
    await once(server, "data");
    relay.connections[0]?.inject("client-to-server", Buffer.from("forged"));
    expect(String((await once(server, "data"))[0])).toBe("forged");
    relay.connections[0]?.inject("server-to-client", Buffer.from("back"));
    expect(String((await once(client, "data"))[0])).toBe("back");
  });

  test("resets both sides when asked, and the other side when one resets", async () => {
    const first = await relayed({});
    const resets = [once(first.client, "error"), once(first.server, "error")];
    first.relay.connections[0]?.reset();
    for (const [error] of await Promise.all(resets)) expect(error).toMatchObject({ code: "ECONNRESET" });

    const second = await relayed({});
    const reset = once(second.server, "error");
    second.client.resetAndDestroy();
    expect((await reset)[0]).toMatchObject({ code: "ECONNRESET" });
    await second.relay.connections[0]?.closed;
  });
});

async function relayed(
  options: Partial<TcpRelayOptions>,
): Promise<{ client: Socket; server: Socket; relay: TcpRelay }> {
  const target = createServer({ allowHalfOpen: true });
  target.listen(0, LOOPBACK);
  await once(target, "listening");
  const { port } = target.address() as { port: number };
  const relay = await TcpRelay.start({ server: { host: LOOPBACK, port }, ...options });
  const accepted = once(target, "connection");
  const client = createConnection({ ...relay.address, allowHalfOpen: true, noDelay: true });
  const [server] = (await accepted) as [Socket];
  await (client.connecting ? once(client, "connect") : undefined);
  cleanups.push(
    () => target.close(),
    () => relay.close(),
    () => client.destroy(),
    () => server.destroy(),
  );
  return { client, server, relay };
}

async function all(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks).toString("latin1");
}
