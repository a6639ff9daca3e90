import { createConnection, createServer, type Server, type Socket } from "node:net";
import { connectTcp, listenTcp, type StreamListener, type StreamTransport, TransportError } from "@usmp/transport";
import { afterEach, describe, expect, test } from "vitest";
import { hasIPv6Loopback } from "./loopback.ts";
import { StreamRecorder } from "./recorder.ts";

const LOOPBACK = "127.0.0.1";
const MEBIBYTE = 1_048_576;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("two ends of a TCP connection", () => {
  test("give each other what was written, in order", async () => {
    const { client, server, clientSide, serverSide } = await startedPair();
    client.write(Buffer.from("one "));
    client.write(Buffer.from("two"));
    server.write(Buffer.from("three"));
    await Promise.all([serverSide.receivedAtLeast(7), clientSide.receivedAtLeast(5)]);
    expect(serverSide.received.toString()).toBe("one two");
    expect(clientSide.received.toString()).toBe("three");
  });

  test("know each other's address", async () => {
    const { client, server, listener } = await pair();
    expect(client.peer).toEqual(listener.address);
    expect(server.peer.host).toBe(LOOPBACK);
    expect(server.peer.port).not.toBe(listener.address.port);
  });

  test("keep what comes before start() and give it then", async () => {
    const { client, server } = await pair();
    client.start(new StreamRecorder());
    client.write(Buffer.from("early"));
    client.end();
    const late = new StreamRecorder();
    server.start(late);
    await late.called("close");
    expect(late.received.toString()).toBe("early");
    expect(late.calls).toEqual(["data", "end", "close"]);
  });

  test("call nothing from inside start(), write(), end() and destroy()", async () => {
    const { client, server } = await pair();
    const recorder = new StreamRecorder();
    client.start(recorder);
    server.start(new StreamRecorder());
    client.write(Buffer.from("x"));
    client.end();
    client.destroy();
    expect(recorder.calls).toEqual([]);
    await recorder.called("close");
    expect(recorder.calls).toEqual(["close"]);
  });
});

describe("backpressure", () => {
  test("reaches the writer when the reader pauses, and ends when it resumes, with no byte lost", async () => {
    const { client, server, clientSide, serverSide } = await startedPair();
    server.pause();
    const chunk = Buffer.alloc(65_536, "x");
    let written = 0;
    let taken = true;
    while (taken) {
      taken = client.write(chunk);
      written += chunk.length;
      expect(written, "the kernel's buffers are finite").toBeLessThan(256 * MEBIBYTE);
    }
    expect(clientSide.calls).not.toContain("drain");
    server.resume();
    await clientSide.called("drain");
    await serverSide.receivedAtLeast(written);
    expect(serverSide.receivedLength).toBe(written);
  });

  test("holds the end back too, until the reader resumes", async () => {
    const { client, server, serverSide } = await startedPair();
    client.write(Buffer.from("first"));
    await serverSide.receivedAtLeast(5);
    server.pause();
    client.write(Buffer.from("second"));
    client.end();
    // A whole exchange on a connection of its own gives this one time to misbehave.
    await roundTrip();
    expect(serverSide.received.toString()).toBe("first");
    expect(serverSide.calls).not.toContain("end");
    server.resume();
    await serverSide.called("close");
    expect(serverSide.received.toString()).toBe("firstsecond");
  });
});

describe("the end of a connection", () => {
  test("is told to both ends as orderly when one ends", async () => {
    const { client, clientSide, serverSide } = await startedPair();
    client.write(Buffer.from("bye"));
    client.end();
    await Promise.all([clientSide.called("close"), serverSide.called("close")]);
    expect(serverSide.calls).toEqual(["data", "end", "close"]);
    expect(clientSide.calls).toEqual(["end", "close"]);
    expect([clientSide.closeError, serverSide.closeError]).toEqual([undefined, undefined]);
  });

  test("still lets the other end answer: bytes written in onEnd arrive", async () => {
    const { client, server } = await pair();
    const clientSide = new StreamRecorder();
    client.start(clientSide);
    const serverSide = new StreamRecorder();
    serverSide.onEnd = () => {
      server.write(Buffer.from("last words"));
    };
    server.start(serverSide);
    client.end();
    await clientSide.called("close");
    expect(clientSide.received.toString()).toBe("last words");
  });

  test("comes after end() even on a stream that was paused", async () => {
    const { client, server, clientSide } = await startedPair();
    client.pause();
    server.write(Buffer.from("unread"));
    client.end();
    await clientSide.called("close");
    expect(clientSide.calls).toEqual(["data", "end", "close"]);
  });

  test("takes no more bytes: write() answers false and nothing is thrown", async () => {
    const { client, clientSide, serverSide } = await startedPair();
    client.end();
    expect(client.write(Buffer.from("late"))).toBe(false);
    await clientSide.called("close");
    expect(client.write(Buffer.from("later"))).toBe(false);
    await serverSide.called("close");
    expect(serverSide.receivedLength).toBe(0);
    expect(clientSide.closeError).toBeUndefined();
  });

  test("is told once after destroy(), however often that is called", async () => {
    const { client, clientSide, serverSide } = await startedPair();
    client.destroy();
    client.destroy();
    await Promise.all([clientSide.called("close"), serverSide.called("close")]);
    client.destroy();
    await roundTrip();
    expect(clientSide.calls).toEqual(["close"]);
    expect(clientSide.closeError).toBeUndefined();
  });

  test("is told as ECONNRESET when the peer resets", async () => {
    const { socket, transport, recorder } = await withPlainClient();
    socket.resetAndDestroy();
    await recorder.called("close");
    expect(recorder.closeError).toMatchObject({ code: "ECONNRESET" });
    expect(recorder.calls).toEqual(["close"]);
    expect(transport.write(Buffer.from("x"))).toBe(false);
  });

  test("is told with its cause when bytes are written to a peer that has gone", async () => {
    const { socket, transport, recorder } = await withPlainClient();
    transport.pause();
    socket.resetAndDestroy();
    await roundTrip();
    while (!recorder.calls.includes("close")) {
      transport.write(Buffer.from("into the void"));
      await roundTrip();
    }
    expect((recorder.closeError as NodeJS.ErrnoException).code).toMatch(/^(ECONNRESET|EPIPE)$/);
  });

  test("is told to handlers that are set after it", async () => {
    const { listener, accepted } = await listenForOne();
    const socket = createConnection(listener.address.port, LOOPBACK);
    cleanups.push(() => socket.destroy());
    const transport = await accepted;
    transport.destroy();
    await new Promise((resolve) => socket.on("close", resolve).resume());
    const recorder = new StreamRecorder();
    transport.start(recorder);
    expect(recorder.calls).toEqual([]);
    await recorder.called("close");
    expect(recorder.calls).toEqual(["close"]);
  });
});

describe("connecting", () => {
  test("to a port where nobody listens is refused with the address, the cause and advice", async () => {
    const listener = await listen(() => {});
    await listener.close();
    const { port } = listener.address;
    const failure = connectTcp({ host: LOOPBACK, port });
    await expect(failure).rejects.toThrow(TransportError);
    await expect(failure).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(failure).rejects.toThrow(
      `cannot connect to ${LOOPBACK} port ${port}: nothing listens there; check that the server runs`,
    );
  });

  test("by a name whose addresses all refuse tells the cause, not an empty message", async () => {
    const listener = await listen(() => {});
    await listener.close();
    await expect(connectTcp({ host: "localhost", port: listener.address.port })).rejects.toThrow(
      "nothing listens there",
    );
  });

  test("with a signal that was aborted before does not connect", async () => {
    let connections = 0;
    const listener = await listen(() => connections++);
    const reason = new Error("never mind");
    const attempt = connectTcp({ ...listener.address, signal: AbortSignal.abort(reason) });
    await expect(attempt).rejects.toBe(reason);
    await roundTrip();
    expect(connections).toBe(0);
  });

  test("gives up with the signal's reason while it is under way", async () => {
    const listener = await listen((transport) => transport.start(new StreamRecorder()));
    const controller = new AbortController();
    const attempt = connectTcp({ ...listener.address, signal: controller.signal });
    controller.abort();
    await expect(attempt).rejects.toMatchObject({ name: "AbortError" });
  });

  test("leaves an established connection alone when the signal is aborted later", async () => {
    const listener = await listen((transport) => echo(transport));
    const controller = new AbortController();
    const transport = await connectTcp({ ...listener.address, signal: controller.signal });
    cleanups.push(() => transport.destroy());
    const recorder = new StreamRecorder();
    transport.start(recorder);
    controller.abort();
    transport.write(Buffer.from("still here"));
    await recorder.receivedAtLeast(10);
    expect(recorder.calls).not.toContain("close");
  });
});

describe("listening", () => {
  test("on a port that is taken is refused with the cause and advice", async () => {
    const first = await listen(() => {});
    const second = listenTcp({ host: LOOPBACK, port: first.address.port }, () => {});
    await expect(second).rejects.toMatchObject({ name: "TransportError", code: "EADDRINUSE" });
    await expect(second).rejects.toThrow("or choose another port (0 for a free one)");
  });

  test("that stops leaves open connections alone and refuses new ones", async () => {
    const { client, clientSide, listener } = await echoingPair();
    await listener.close();
    await listener.close();
    client.write(Buffer.from("after"));
    await clientSide.receivedAtLeast(5);
    await expect(connectTcp(listener.address)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test.skipIf(!hasIPv6Loopback)("without a host takes IPv6 and IPv4, and shows IPv4 peers as IPv4", async () => {
    const peers: string[] = [];
    const listener = await listenTcp({ port: 0 }, (transport) => {
      peers.push(transport.peer.host);
      echo(transport);
    });
    cleanups.push(() => listener.close());
    for (const host of [LOOPBACK, "::1"]) {
      const client = await connectTcp({ host, port: listener.address.port });
      const recorder = new StreamRecorder();
      client.start(recorder);
      client.write(Buffer.from("x"));
      await recorder.receivedAtLeast(1);
      client.destroy();
      await recorder.called("close");
    }
    expect(listener.address.host).toBe("::");
    expect(peers).toEqual([LOOPBACK, "::1"]);
  });
});

/** The accepted end of a connection whose other end is a plain socket, to misbehave with. */
async function withPlainClient(): Promise<{ socket: Socket; transport: StreamTransport; recorder: StreamRecorder }> {
  const { listener, accepted } = await listenForOne();
  const socket = createConnection(listener.address.port, LOOPBACK);
  cleanups.push(() => socket.destroy());
  const transport = await accepted;
  cleanups.push(() => transport.destroy());
  const recorder = new StreamRecorder();
  transport.start(recorder);
  return { socket, transport, recorder };
}

async function listen(onConnection: (transport: StreamTransport) => void): Promise<StreamListener> {
  const listener = await listenTcp({ host: LOOPBACK, port: 0 }, onConnection);
  cleanups.push(() => listener.close());
  return listener;
}

async function listenForOne(): Promise<{ listener: StreamListener; accepted: Promise<StreamTransport> }> {
  let accept: (transport: StreamTransport) => void;
  const accepted = new Promise<StreamTransport>((resolve) => {
    accept = resolve;
  });
  return { listener: await listen((transport) => accept(transport)), accepted };
}

async function pair(): Promise<{ client: StreamTransport; server: StreamTransport; listener: StreamListener }> {
  const { listener, accepted } = await listenForOne();
  const client = await connectTcp(listener.address);
  const server = await accepted;
  cleanups.push(
    () => client.destroy(),
    () => server.destroy(),
  );
  return { client, server, listener };
}

async function startedPair() {
  const ends = await pair();
  const clientSide = new StreamRecorder();
  const serverSide = new StreamRecorder();
  ends.client.start(clientSide);
  ends.server.start(serverSide);
  return { ...ends, clientSide, serverSide };
}

async function echoingPair() {
  const ends = await pair();
  const clientSide = new StreamRecorder();
  ends.client.start(clientSide);
  echo(ends.server);
  return { ...ends, clientSide };
}

function echo(transport: StreamTransport): void {
  const recorder = new StreamRecorder();
  recorder.onData = (chunk) => {
    transport.write(chunk);
  };
  transport.start(recorder);
}

/** One exchange over sockets of its own: the event loop polls the network at least twice meanwhile. */
function roundTrip(): Promise<void> {
  return new Promise((resolve) => {
    const server: Server = createServer((socket) => socket.end("x"));
    server.listen(0, LOOPBACK, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      createConnection(port, LOOPBACK)
        .on("close", () => server.close(() => resolve()))
        .resume();
    });
  });
}
