import { spawnSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import {
  bindUdp,
  type ConnectedDatagramTransport,
  connectUdp,
  type DatagramTransport,
  TransportError,
} from "@usmp/transport";
import { afterEach, describe, expect, test } from "vitest";
import { hasIPv6Loopback } from "./loopback.ts";
import { DatagramRecorder } from "./recorder.ts";

const LOOPBACK = "127.0.0.1";
const cleanups: (() => unknown)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

describe("a server's socket", () => {
  test("gets datagrams with their sender, and answers go there", async () => {
    const { server, serverSide, client, clientSide } = await startedPair();
    client.send(Buffer.from("question"), client.peer);
    await serverSide.receivedAtLeast(1);
    expect(serverSide.datagrams[0]?.from).toEqual({ host: LOOPBACK, port: client.address.port });
    server.send(Buffer.from("answer"), serverSide.datagrams[0]?.from as never);
    await clientSide.receivedAtLeast(1);
    expect(clientSide.texts).toEqual(["answer"]);
  });

  test("gives an empty datagram and one of 1,500 bytes as they came", async () => {
    const { serverSide, client } = await startedPair();
    client.send(new Uint8Array(0), client.peer);
    client.send(Buffer.alloc(1500, "x"), client.peer);
    await serverSide.receivedAtLeast(2);
    expect(serverSide.texts).toEqual(["", "x".repeat(1500)]);
  });

  test.skipIf(!hasIPv6Loopback)(
    "without a host takes IPv6 and IPv4, and shows and answers IPv4 peers as IPv4",
    async () => {
      const server = await bind({ port: 0 });
      const serverSide = start(server);
      expect(server.address.host).toBe("::");
      for (const host of [LOOPBACK, "::1"]) {
        const client = await connect({ host, port: server.address.port });
        const clientSide = start(client);
        client.send(Buffer.from(host), client.peer);
        await serverSide.receivedAtLeast(serverSide.datagrams.length + 1);
        const { from, text } = serverSide.datagrams.at(-1) as (typeof serverSide.datagrams)[0];
        expect(from.host).toBe(host);
        server.send(Buffer.from(text), from);
        await clientSide.receivedAtLeast(1);
        expect(clientSide.datagrams[0]?.from).toEqual({ host, port: server.address.port });
      }
    },
  );

  test("is refused on a port that is taken, with the cause and advice", async () => {
    const first = await bind({ host: LOOPBACK, port: 0 });
    const second = bindUdp({ host: LOOPBACK, port: first.address.port });
    await expect(second).rejects.toThrow(TransportError);
    await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(second).rejects.toThrow(
      `cannot listen on UDP port ${first.address.port} of ${LOOPBACK}: the port is taken`,
    );
  });

  // A raw socket is the only way to send from port 0, which nobody can answer: Node's send() would throw.
  test.skipIf(process.getuid?.() !== 0)("drops a forged datagram that names port 0 as its source", async () => {
    const { server, serverSide, client } = await startedPair();
    sendFromPortZero(server.address.port);
    client.send(Buffer.from("honest"), client.peer);
    await serverSide.receivedAtLeast(1);
    expect(serverSide.texts).toEqual(["honest"]);
  });
});

describe("a client's socket", () => {
  test.each(["before", "while its name is looked up"])(
    "is given up when the signal is aborted %s, with its reason",
    async (when) => {
      const controller = new AbortController();
      const reason = new Error("never mind");
      if (when === "before") controller.abort(reason);
      const attempt = connectUdp({ host: "localhost", port: 9, signal: controller.signal });
      controller.abort(reason);
      await expect(attempt).rejects.toBe(reason);
    },
  );

  test("delivers nothing that does not come from its peer", async () => {
    const { server, client, clientSide } = await startedPair();
    const stranger = await plainSocket();
    const clientPort = client.address.port;
    await sendPlain(stranger, "forged", clientPort);
    server.send(Buffer.from("true"), { host: LOOPBACK, port: clientPort });
    await clientSide.receivedAtLeast(1);
    expect(clientSide.texts).toEqual(["true"]);
  });

  test("outlives ICMP unreachable: a server that comes later is reached", async () => {
    const gone = await bind({ host: LOOPBACK, port: 0 });
    const { port } = gone.address;
    const goneSide = start(gone);
    gone.close();
    await goneSide.closed;
    const client = await connect({ host: LOOPBACK, port });
    const clientSide = start(client);
    for (let i = 0; i < 10; i++) client.send(Buffer.from("nobody"), client.peer);
    // The kernel answers those ten before it answers this one.
    await loopbackExchange();
    const late = await bind({ host: LOOPBACK, port });
    const lateSide = start(late);
    client.send(Buffer.from("somebody"), client.peer);
    await lateSide.receivedAtLeast(1);
    expect(lateSide.texts).toEqual(["somebody"]);
    expect(clientSide.closeCalls).toBe(0);
  });

  test("looks a name up, and takes IPv4 where a name means this host", async () => {
    const server = await bind({ host: LOOPBACK, port: 0 });
    const serverSide = start(server);
    const client = await connect({ host: "localhost", port: server.address.port });
    expect(client.peer).toEqual(server.address);
    client.send(Buffer.from("found"), client.peer);
    await serverSide.receivedAtLeast(1);
  });

  test.skipIf(!hasIPv6Loopback)("knows its peer's IPv6 address in whatever spelling it was given", async () => {
    const server = await bind({ host: "::1", port: 0 });
    const serverSide = start(server);
    const client = await connect({ host: "0:0:0:0:0:0:0:1", port: server.address.port });
    const clientSide = start(client);
    client.send(Buffer.from("x"), client.peer);
    await serverSide.receivedAtLeast(1);
    server.send(Buffer.from("y"), serverSide.datagrams[0]?.from as never);
    await clientSide.receivedAtLeast(1);
    expect(clientSide.texts).toEqual(["y"]);
  });

  test.skipIf(!hasIPv6Loopback)("reaches an IPv4 peer that was given in its IPv4-mapped form", async () => {
    const server = await bind({ host: LOOPBACK, port: 0 });
    const serverSide = start(server);
    const client = await connect({ host: `::ffff:${LOOPBACK}`, port: server.address.port });
    const clientSide = start(client);
    client.send(Buffer.from("x"), client.peer);
    await serverSide.receivedAtLeast(1);
    server.send(Buffer.from("y"), { host: LOOPBACK, port: client.address.port });
    await clientSide.receivedAtLeast(1);
    expect(client.peer.host).toBe(LOOPBACK);
  });
});

describe("a socket that closes", () => {
  test("lets what was sent before leave, and is told so once", async () => {
    const { serverSide, client, clientSide } = await startedPair();
    for (let i = 0; i < 20; i++) client.send(Buffer.from(`${i}`), client.peer);
    client.close();
    client.close();
    expect(clientSide.closeCalls).toBe(0);
    await Promise.all([clientSide.closed, serverSide.receivedAtLeast(20)]);
    expect(serverSide.texts).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
    expect(clientSide).toMatchObject({ closeCalls: 1, closeError: undefined });
  });

  test("sends nothing more, and throws nothing", async () => {
    const { serverSide, client, clientSide } = await startedPair();
    client.close();
    client.send(Buffer.from("late"), client.peer);
    await clientSide.closed;
    client.send(Buffer.from("later"), client.peer);
    await loopbackExchange();
    expect(serverSide.texts).toEqual([]);
  });

  test("is told to handlers that are set after it", async () => {
    const server = await bind({ host: LOOPBACK, port: 0 });
    server.close();
    await loopbackExchange();
    const late = start(server);
    expect(late.closeCalls).toBe(0);
    await late.closed;
    expect(late.closeCalls).toBe(1);
  });
});

interface Ends {
  readonly server: DatagramTransport;
  readonly serverSide: DatagramRecorder;
  readonly client: ConnectedDatagramTransport;
  readonly clientSide: DatagramRecorder;
}

async function startedPair(): Promise<Ends> {
  const server = await bind({ host: LOOPBACK, port: 0 });
  const client = await connect(server.address);
  return { server, serverSide: start(server), client, clientSide: start(client) };
}

function start(transport: DatagramTransport): DatagramRecorder {
  const recorder = new DatagramRecorder();
  transport.start(recorder);
  return recorder;
}

async function bind(options: { host?: string; port: number }): Promise<DatagramTransport> {
  const transport = await bindUdp(options);
  cleanups.push(() => transport.close());
  return transport;
}

async function connect(options: { host: string; port: number }): Promise<ConnectedDatagramTransport> {
  const transport = await connectUdp(options);
  cleanups.push(() => transport.close());
  return transport;
}

async function plainSocket(): Promise<Socket> {
  const socket = createSocket("udp4");
  cleanups.push(() => socket.close());
  socket.bind(0, LOOPBACK);
  await once(socket, "listening");
  return socket;
}

function sendPlain(socket: Socket, text: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(text, port, LOOPBACK, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** One datagram there and back over sockets of its own. */
async function loopbackExchange(): Promise<void> {
  const [a, b] = [await plainSocket(), await plainSocket()];
  b.on("message", (data, from) => b.send(data, from.port, LOOPBACK));
  const answered = once(a, "message");
  await sendPlain(a, "x", b.address().port);
  await answered;
}

/** RFC 768 header by hand: source port 0, checksum 0 (none). */
function sendFromPortZero(port: number): void {
  const script = `import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
s.sendto(struct.pack(">HHHH", 0, int(sys.argv[1]), 14, 0) + b"forged", ("${LOOPBACK}", 0))`;
  const run = spawnSync("python3", ["-c", script, String(port)], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
}
