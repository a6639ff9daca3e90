import { Secret } from "@usmp/protocol";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { connect, listen, type Server, type Session } from "../src/index.ts";
import { Unread } from "../src/unread.ts";

const KEY = (): Secret => new Secret(new TextEncoder().encode("not-secret test key for accepting"));

describe("what a session holds for its application", () => {
  it("is read and gone where reading is accepting", () => {
    const unread = new Unread(10, false);
    unread.noteReceived(9, false);
    unread.noteReceived(5, true);
    expect([unread.bytes, unread.full, unread.halfFree]).toEqual([9, false, false]);
    unread.noteReceived(1, false);
    expect(unread.full).toBe(true);
    unread.noteRead(9);
    expect([unread.bytes, unread.halfFree]).toEqual([1, true]);
    expect(unread.accept(5)).toBeUndefined();
  });

  it("counts until it is accepted where that is asked for", () => {
    const unread = new Unread(10, true);
    unread.noteReceived(6, true);
    unread.noteReceived(4, false);
    expect(unread.full).toBe(true);
    expect(() => unread.accept(2)).toThrow(expect.objectContaining({ code: "invalid-option" }));
    expect(() => unread.accept(0.5)).toThrow(expect.objectContaining({ code: "invalid-option" }));
    unread.noteRead(4);
    expect(unread.full).toBe(true);
    expect(unread.accept(1)).toBe(1);
    expect([unread.bytes, unread.halfFree]).toEqual([4, true]);
    expect(unread.accept(1)).toBe(2);
    expect(unread.bytes).toBe(0);
  });

  it("is full of many empty messages, too", () => {
    const unread = new Unread(10, true);
    for (let i = 0; i < 4_096; i++) unread.noteReceived(0, true);
    expect(unread.full).toBe(true);
    unread.accept(2_048);
    expect(unread.halfFree).toBe(true);
  });
});

async function open(transport: "tcp" | "udp"): Promise<{ server: Server; device: Session; session: Session }> {
  const server = await listen({ [transport]: "127.0.0.1:0", psk: KEY(), acknowledge: "accepted" });
  const address = server.addresses[0] as { port: number };
  const device = await connect({ host: "127.0.0.1", port: address.port, transport, psk: KEY() });
  onTestFinished(async () => {
    device.abort();
    for (const session of server.sessions) session.abort();
    await server.close();
  });
  const session = (await server[Symbol.asyncIterator]().next()).value as Session;
  return { server, device, session };
}

test("over UDP a message is sent once the application at the other end has accepted it", async () => {
  const { device, session } = await open("udp");
  let sent = false;
  const sending = device.send("kept").then(() => {
    sent = true;
  });
  expect(Buffer.from((await session.receive()) as Uint8Array).toString()).toBe("kept");
  // A round trip: what was to be acknowledged would have been.
  await device.ping();
  expect(sent).toBe(false);
  session.accept();
  await sending;
});

test("over TCP a PING behind a message is answered once the application at the other end has accepted it", async () => {
  const { device, session } = await open("tcp");
  await device.send("kept");
  let answered = false;
  const ping = device.ping().then(() => {
    answered = true;
  });
  await session.receive();
  // What goes the other way arrives meanwhile.
  await session.send("before");
  await device.receive();
  expect(answered).toBe(false);
  session.accept();
  await ping;
  session.abort();
  await session.closed;
  session.accept(0);
});

test("a device waits while too much of what was read is not accepted", async () => {
  const transport = "tcp";
  const server = await listen({
    [transport]: "127.0.0.1:0",
    psk: KEY(),
    acknowledge: "accepted",
    receiveBufferBytes: 2_000,
  });
  const address = server.addresses[0] as { port: number };
  const device = await connect({ host: "127.0.0.1", port: address.port, transport, psk: KEY() });
  onTestFinished(async () => {
    device.abort();
    for (const session of server.sessions) session.abort();
    await server.close();
  });
  const session = (await server[Symbol.asyncIterator]().next()).value as Session;
  const all = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(100, "."));
  const sending = Promise.all(all.map((text) => device.send(text)));
  const received: string[] = [];
  for (let unaccepted = 0; received.length < all.length; ) {
    received.push(Buffer.from((await session.receive()) as Uint8Array).toString());
    // At 2,000 bytes reading stops; the chunk at hand is still given out.
    if (++unaccepted === 20) {
      session.accept(unaccepted);
      unaccepted = 0;
    }
  }
  await sending;
  expect(received).toEqual(all);
});

test("acknowledge is one of two words", async () => {
  await expect(listen({ tcp: 0, psk: KEY(), acknowledge: "stored" as never })).rejects.toMatchObject({
    code: "invalid-option",
    message: expect.stringContaining('"received" or "accepted"'),
  });
});
