import {
  DatagramLink,
  datagramTransports,
  SeededRandom,
  StreamLink,
  streamTransports,
  VirtualClock,
} from "@usmp/testkit";
import type { DatagramTransport, PeerAddress, StreamTransport } from "@usmp/transport";
import { describe, expect, test } from "vitest";

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe("transports over a simulated datagram link", () => {
  test("deliver as the clock moves, with the sender's address, and lose what the link loses", () => {
    const { clock, link, client, server } = datagramEnds();
    const [clientSees, serverSees] = [record(client, clock), record(server, clock)];
    client.send(bytes("a"), client.peer);
    clock.advance(9);
    expect(serverSees).toEqual([]);
    clock.advance(1);
    expect(serverSees).toEqual(["a from client at 10"]);
    server.send(bytes("b"), { host: "client", port: 1 });
    link.conditions["server-to-client"] = { drop: 1 };
    server.send(bytes("lost"), { host: "client", port: 1 });
    clock.runUntilIdle();
    expect(clientSees).toEqual(["b from server at 20"]);
  });

  test("follow a client that moves", () => {
    const { clock, link, client, server } = datagramEnds();
    const serverSees = record(server, clock);
    link.moveClient("elsewhere");
    client.send(bytes("a"), client.peer);
    clock.runUntilIdle();
    expect(serverSees).toEqual(["a from elsewhere at 10"]);
  });

  test("are silent after close() and told of it once, later", () => {
    const { clock, client, server } = datagramEnds();
    const [clientSees, serverSees] = [record(client, clock), record(server, clock)];
    server.send(bytes("x"), { host: "client", port: 1 });
    client.close();
    client.close();
    client.send(bytes("late"), client.peer);
    expect(clientSees).toEqual([]);
    clock.runUntilIdle();
    expect([clientSees, serverSees]).toEqual([["closed at 0"], []]);
  });
});

describe("transports over a simulated stream link", () => {
  test("deliver in order as the clock moves, hold back while paused, and end in order", () => {
    const { clock, client, server } = streamEnds();
    const [clientSees, serverSees] = [recordStream(client, clock), recordStream(server, clock)];
    server.pause();
    client.write(bytes("one"));
    client.write(bytes("two"));
    clock.advance(10);
    expect(serverSees).toEqual([]);
    server.resume();
    expect(serverSees).toEqual([]);
    clock.advance(0);
    expect(serverSees).toEqual(["one at 10", "two at 10"]);
    client.end();
    expect(client.write(bytes("late"))).toBe(false);
    clock.runUntilIdle();
    expect(serverSees.slice(2)).toEqual(["end at 20", "closed at 20"]);
    expect(clientSees).toEqual(["end at 30", "closed at 30"]);
  });

  test("keep what comes before start(), and close after destroy()", () => {
    const { clock, client, server } = streamEnds();
    const clientSees = recordStream(client, clock);
    client.write(bytes("early"));
    client.destroy();
    client.destroy();
    clock.advance(10);
    const serverSees = recordStream(server, clock);
    clock.runUntilIdle();
    expect(clientSees).toEqual(["closed at 0"]);
    expect(serverSees).toEqual(["early at 10", "end at 10", "closed at 10"]);
  });
});

function datagramEnds() {
  const clock = new VirtualClock();
  const link = new DatagramLink({ random: new SeededRandom(1), conditions: { latencyMs: 10 } });
  return { clock, link, ...datagramTransports(link, clock) };
}

function streamEnds() {
  const clock = new VirtualClock();
  const link = new StreamLink({ random: new SeededRandom(1), conditions: { latencyMs: 10 } });
  const [client, server] = streamTransports(link, clock);
  return { clock, client, server };
}

function record(transport: DatagramTransport, clock: VirtualClock): string[] {
  const seen: string[] = [];
  transport.start({
    onDatagram: (data: Uint8Array, from: PeerAddress) =>
      void seen.push(`${Buffer.from(data)} from ${from.host} at ${clock.now()}`),
    onClose: () => void seen.push(`closed at ${clock.now()}`),
  });
  return seen;
}

function recordStream(transport: StreamTransport, clock: VirtualClock): string[] {
  const seen: string[] = [];
  transport.start({
    onData: (chunk) => void seen.push(`${Buffer.from(chunk)} at ${clock.now()}`),
    onDrain: () => void seen.push("drain"),
    onEnd: () => void seen.push(`end at ${clock.now()}`),
    onClose: () => void seen.push(`closed at ${clock.now()}`),
  });
  return seen;
}
