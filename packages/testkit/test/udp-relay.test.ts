import { type LinkEvent, SeededRandom, UdpRelay, type UdpRelayOptions } from "@usmp/testkit";
import { bindUdp, connectUdp, type DatagramTransport, type PeerAddress } from "@usmp/transport";
import { afterEach, describe, expect, test } from "vitest";
import { MessageQueue } from "../src/message-queue.ts";

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

describe("a UDP relay", () => {
  test("gives each client a port of its own at the server, and brings answers back to it", async () => {
    const { server, relay } = await relayed({});
    const clients = await Promise.all([client(relay), client(relay)]);
    for (const [i, each] of clients.entries()) each.send(`question ${i}`);
    const questions = [await server.take(), await server.take()];
    expect(new Set(questions.map(({ from }) => from.port)).size).toBe(2);
    for (const { text, from } of questions) server.send(`answer to ${text}`, from);
    for (const [i, each] of clients.entries()) expect((await each.take()).text).toBe(`answer to question ${i}`);
    expect(relay.clients).toBe(2);
    expect(relay.counts).toMatchObject({ sent: 4, delivered: 4 });
  });

  test("drops and doubles as its seed says", async () => {
    let allSent = (): void => {};
    const sent200 = new Promise<void>((resolve) => {
      allSent = resolve;
    });
    const tap = ({ type, index }: LinkEvent): void => {
      if (type === "sent" && index === 199) allSent();
    };
    const { server, relay } = await relayed({ toServer: { drop: 0.3, duplicate: 0.3 }, tap });
    const sender = await client(relay);
    for (let i = 0; i < 200; i++) sender.send(`${i}`);
    await sent200;
    relay.setConditions({});
    sender.send("end");
    const texts: string[] = [];
    while (texts.at(-1) !== "end") texts.push((await server.take()).text);
    const { sent, dropped, duplicated, delivered } = relay.counts;
    expect(sent).toBe(201);
    expect(dropped / 200).toBeCloseTo(0.3, 0);
    expect(dropped).toBeGreaterThan(20);
    expect(duplicated).toBeGreaterThan(20);
    expect(delivered).toBe(sent - dropped + duplicated);
    expect(texts).toHaveLength(delivered);
  });

  test("delays by real time, and lets later datagrams overtake", async () => {
    const delays = [60, 0];
    const { server, relay } = await relayed({ decide: ({ index }) => ({ delayMs: delays[index] ?? 0 }) });
    const sender = await client(relay);
    const start = performance.now();
    sender.send("slow");
    sender.send("fast");
    expect([(await server.take()).text, (await server.take()).text]).toEqual(["fast", "slow"]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  });

  test("moves its clients to new ports, and loses what the server still sends to the old ones", async () => {
    const { server, relay } = await relayed({});
    const sender = await client(relay);
    sender.send("before");
    const before = (await server.take()).from;
    await relay.rebind();
    server.send("to the old port", before);
    sender.send("after");
    const after = (await server.take()).from;
    expect(after.port).not.toBe(before.port);
    server.send("to the new port", after);
    expect((await sender.take()).text).toBe("to the new port");
  });

  test("injects an attacker's datagram in either direction, past all conditions", async () => {
    const { server, relay } = await relayed({});
    const victim = await client(relay);
    victim.send("hello");
    const { from } = await server.take();
    relay.setConditions({ drop: 1 });
    relay.inject("client-to-server", Buffer.from("forged request"));
    relay.inject("server-to-client", Buffer.from("forged answer"));
    expect(await server.take()).toEqual({ text: "forged request", from });
    expect((await victim.take()).text).toBe("forged answer");
  });
});

interface Arrival {
  readonly text: string;
  readonly from: PeerAddress;
}

async function relayed(options: Partial<UdpRelayOptions>) {
  const transport = await bindUdp({ host: "127.0.0.1", port: 0 });
  const relay = await UdpRelay.start({ server: transport.address, random: new SeededRandom(1), ...options });
  cleanups.push(() => relay.close());
  return { server: endOf(transport), relay };
}

async function client(relay: UdpRelay) {
  const transport = await connectUdp(relay.address);
  const end = endOf(transport);
  return { ...end, send: (text: string) => end.send(text, transport.peer) };
}

function endOf(transport: DatagramTransport) {
  cleanups.push(() => transport.close());
  const arrivals = new MessageQueue<Arrival>();
  transport.start({
    onDatagram: (data, from) => arrivals.push({ text: Buffer.from(data).toString(), from }),
    onClose: () => arrivals.end(new Error("closed")),
  });
  return {
    send: (text: string, to: PeerAddress) => transport.send(Buffer.from(text), to),
    take: () => arrivals.take("datagram", 5000),
  };
}
