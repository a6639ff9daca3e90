import { randomBytes } from "node:crypto";
import { constants, encodeFrame, encodeUtack, FrameType, type FrameTypeName, writeCrc } from "@usmp/protocol";
import { VirtualClock } from "@usmp/testkit";
import { describe, expect, test } from "vitest";
import { payloadOfBytes, RawClient, RawServer, tampered } from "../../../protocol/test/support/raw-peer.ts";
import { open, serve, TEST_PSK, textOf } from "../support/loopback.ts";
import { cookieHello, describeDatagram, RawUdp, rawUdpClient, shakeHands } from "../support/raw-udp.ts";

const HELLO_LENGTH = constants.HEADER_LENGTH + constants.DEVICE_ID_LENGTH + constants.PUBLIC_KEY_LENGTH;

describe("our UDP server, before a cookie came back,", () => {
  test("answers HELLO with its UTACK and HELLO_RETRY, echoing the seq, and keeps no state", async () => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    await raw.send(tampered(new RawClient().hello(), 5, 0x77));
    expect(describeDatagram(await raw.datagram())).toBe("HELLO_RETRY");
    await raw.send(encodeUtack(FrameType.HELLO_RETRY, 0));
    expect(await raw.datagram()).toEqual(encodeUtack(FrameType.HELLO, 0x7700));
    expect(listening.server.statistics).toMatchObject({ handshakesOpen: 0, sessionsOpen: 0 });
  });

  test("sends HELLO_RETRY once more after a second, and so never more than 1.6 times what it received", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawUdp.open(listening.address("udp"));
    await raw.send(new RawClient().hello());
    const answers = [await raw.datagram()];
    for (const expected of [1, 2, 1]) {
      clock.advance(1_000);
      for (let count = 0; count < expected; count++) answers.push(await raw.datagram());
    }
    const utacks = ["UTACK of HELLO", "UTACK of HELLO", "UTACK of HELLO"];
    expect(answers.map(describeDatagram)).toEqual(["HELLO_RETRY", "HELLO_RETRY", ...utacks]);
    clock.advance(60_000);
    await raw.send(new RawClient().hello());
    expect(describeDatagram(await raw.datagram()), "nothing more came in between").toBe("HELLO_RETRY");
    const bytes = answers.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBeLessThanOrEqual(1.6 * HELLO_LENGTH);
  });

  test("sends no second HELLO_RETRY to a client that brought the cookie", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const { raw, keys } = await rawUdpClient(listening);
    clock.advance(5_000);
    await raw.send(keys.seal("DATA", 0, Buffer.from("x")));
    const passed = await raw.expectDatagram(keys.expectedUtack("DATA", 0));
    expect(passed).not.toContain("HELLO_RETRY");
  });

  test.each<readonly [string, (hello: Uint8Array) => Uint8Array]>([
    ["a wrong cookie", (hello) => tampered(hello, 60)],
    ["the cookie of another device id", (hello) => tampered(hello, 12)],
    ["the cookie of another public key", (hello) => tampered(hello, 30)],
    ["a bad CRC", (hello) => hello.map((byte, at) => (at === 10 ? byte ^ 1 : byte))],
    ["another version", (hello) => tampered(hello, 2, 0x01)],
    ["one byte too many", (hello) => lengthened(hello, 1)],
    ["one byte too few", (hello) => lengthened(hello, -1)],
    ["another frame behind it", (hello) => Buffer.concat([hello, hello])],
  ])("gives a HELLO with %s not one byte", async (_, damage) => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    const hello = await cookieHello(raw, client);
    await raw.send(damage(hello));
    await raw.send(hello);
    const answers = [await raw.datagram(), await raw.datagram()].map(describeDatagram);
    expect(answers.sort()).toEqual(["CHALLENGE", "UTACK of HELLO"]);
    expect(listening.server.statistics.handshakesOpen).toBe(1);
  });

  test("gives a HELLO whose cookie was made for another address not one byte", async () => {
    const listening = await serve();
    const client = new RawClient();
    const hello = await cookieHello(await RawUdp.open(listening.address("udp")), client);
    const elsewhere = await RawUdp.open(listening.address("udp"));
    await elsewhere.send(hello);
    await elsewhere.send(client.hello());
    expect(describeDatagram(await elsewhere.datagram())).toBe("HELLO_RETRY");
    expect(listening.server.statistics.dropped).toEqual({ "bad-cookie": 1 });
  });

  test("takes a cookie for 30 s at least and 60 s at most", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawUdp.open(listening.address("udp"));
    clock.advance(29_999);
    const early = await cookieHello(raw, new RawClient({ deviceId: randomBytes(6) }));
    clock.advance(30_000);
    await raw.send(early);
    await raw.expectFrame("CHALLENGE");

    const late = await cookieHello(raw, new RawClient({ deviceId: randomBytes(6) }));
    clock.advance(60_000);
    await raw.send(late);
    await expect.poll(() => listening.server.statistics.dropped).toMatchObject({ "bad-cookie": 1 });
  });

  test.each<FrameTypeName>([
    "CHALLENGE",
    "HELLO_ACK",
    "SESSION_OK",
    "DATA",
    "PING",
    "BYE",
    "REKEY",
    "HELLO_RETRY",
    "ERROR",
  ])("gives a stranger's %s not one byte", async (type) => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    await raw.send(encodeFrame(FrameType[type], 0, new Uint8Array(64)));
    await raw.send(new RawClient().hello());
    expect(describeDatagram(await raw.datagram())).toBe("HELLO_RETRY");
    expect(Object.values(listening.server.statistics.dropped)).toEqual([1]);
  });
});

describe("our UDP server, in a handshake,", () => {
  test("drops wrong proofs and still takes the true one", async () => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    await raw.send(await cookieHello(raw, client));
    const helloAck = client.answer(await raw.expectFrame("CHALLENGE"));
    for (let wrong = 0; wrong < 7; wrong++) await raw.send(tampered(helloAck, 12 + wrong));
    await raw.send(helloAck);
    const passed = await raw.expectDatagram(encodeUtack(FrameType.HELLO_ACK, 2));
    expect(passed, "a wrong proof is not acknowledged").not.toContain("UTACK of HELLO_ACK");
    client.finish(await raw.expectFrame("SESSION_OK"));
    expect((await listening.accept()).open).toBe(true);
  });

  test("does not look at more wrong proofs than eight at once, and the true client still gets in after them", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    await raw.send(await cookieHello(raw, client));
    const helloAck = client.answer(await raw.expectFrame("CHALLENGE"));
    for (let wrong = 0; wrong < 20; wrong++) await raw.send(tampered(helloAck, 12 + wrong));
    await raw.send(client.hello());
    await raw.expectFrame("HELLO_RETRY");
    clock.advance(1_000);
    await raw.send(helloAck);
    client.finish(await raw.expectFrame("SESSION_OK"));
    expect((await listening.accept()).open).toBe(true);
  });

  test("sends no UTACK for a session frame before the keys exist", async () => {
    const listening = await serve();
    const { keys } = await rawUdpClient(listening);
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient({ deviceId: randomBytes(6) });
    await raw.send(await cookieHello(raw, client));
    const helloAck = client.answer(await raw.expectFrame("CHALLENGE"));
    const forged = tampered(keys.seal("DATA", 0), 16);
    await raw.send(forged);
    await raw.send(helloAck);
    const passed = await raw.expectDatagram(encodeUtack(FrameType.HELLO_ACK, 2));
    expect(passed).not.toContain("UTACK of DATA");
  });

  test("takes an authentic session frame as the acknowledgement of SESSION_OK", async () => {
    const clock = new VirtualClock();
    const listening = await serve({ clock });
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    await raw.send(await cookieHello(raw, client));
    await raw.send(client.answer(await raw.expectFrame("CHALLENGE")));
    const keys = client.finish(await raw.expectFrame("SESSION_OK"));
    const session = await listening.accept();
    clock.advance(500);
    await raw.expectFrame("SESSION_OK");
    await raw.send(keys.seal("DATA", 0, Buffer.from("instead of a UTACK")));
    await raw.expectDatagram(keys.expectedUtack("DATA", 0));
    expect(await session.proven).toBe(true);
    clock.advance(5_000);
    await raw.send(keys.seal("DATA", 1));
    expect(await raw.expectDatagram(keys.expectedUtack("DATA", 1))).toEqual([]);
  });

  test("acknowledges HELLO and HELLO_ACK again when they come again, and begins nothing new", async () => {
    const listening = await serve();
    const raw = await RawUdp.open(listening.address("udp"));
    const client = new RawClient();
    const hello = await cookieHello(raw, client);
    await raw.send(hello);
    const challenge = await raw.expectFrame("CHALLENGE");
    await raw.send(hello);
    await raw.expectDatagram(encodeUtack(FrameType.HELLO, 1));
    const helloAck = client.answer(challenge);
    await raw.send(helloAck);
    const keys = client.finish(await raw.expectFrame("SESSION_OK"));
    await raw.send(helloAck);
    await raw.expectDatagram(encodeUtack(FrameType.HELLO_ACK, 2));
    await raw.send(keys.seal("DATA", 0, Buffer.from("one session")));
    expect(textOf(await (await listening.accept()).receive())).toBe("one session");
    expect(listening.server.statistics).toMatchObject({ sessionsEstablished: 1, handshakesOpen: 0 });
  });

  test("lets no HELLO of a stranger at the same address take datagrams from the live session there", async () => {
    const listening = await serve();
    const { ours, raw, keys } = await rawUdpClient(listening);
    await raw.send(await cookieHello(raw, new RawClient({ deviceId: randomBytes(6) })));
    await raw.expectFrame("CHALLENGE");
    await raw.send(keys.seal("DATA", 0, Buffer.from("still mine")));
    expect(textOf(await ours.receive())).toBe("still mine");
  });

  test("serves two sessions of one address, each with its own keys", async () => {
    const listening = await serve();
    const first = await rawUdpClient(listening);
    const second = await shakeHands(first.raw, new RawClient({ deviceId: randomBytes(6) }));
    const other = await listening.accept();
    await first.raw.send(second.seal("DATA", 0, Buffer.from("second")));
    await first.raw.send(first.keys.seal("DATA", 0, Buffer.from("first")));
    expect([textOf(await first.ours.receive()), textOf(await other.receive())]).toEqual(["first", "second"]);
  });
});

describe("our UDP client", () => {
  test("is not stopped by CHALLENGEs, HELLO_RETRYs and SESSION_OKs that a stranger injects first", async () => {
    const raw = await RawUdp.open();
    const connecting = open(raw.address, { transport: "udp" });
    const server = new RawServer();
    const hello = await raw.expectFrame("HELLO");
    const impostor = new RawServer();
    await raw.send(encodeFrame(FrameType.HELLO_RETRY, 0, randomBytes(16)));
    await raw.send(impostor.challenge(hello));
    await raw.send(encodeFrame(FrameType.SESSION_OK, 0, randomBytes(48)));
    await raw.send(encodeFrame(FrameType.BYE, 0, randomBytes(28)));
    await raw.send(encodeFrame(FrameType.ERROR, 0, randomBytes(2)));
    await raw.send(server.challenge(hello));
    let helloAck = await raw.expectFrame("HELLO_ACK");
    while (!server.accepts(helloAck)) helloAck = await raw.expectFrame("HELLO_ACK");
    await raw.send(server.sessionOk());
    const session = await connecting;
    await raw.send(server.session().seal("DATA", 0, Buffer.from("the true server")));
    expect(textOf(await session.receive())).toBe("the true server");
  });

  test("sends HELLO again until an answer comes, though its UTACK came: that is forgeable", async () => {
    const clock = new VirtualClock();
    const raw = await RawUdp.open();
    const connecting = open(raw.address, { transport: "udp", clock });
    const hello = await raw.expectFrame("HELLO");
    await raw.send(encodeUtack(FrameType.HELLO, 0));
    clock.advance(500);
    expect(await raw.expectFrame("HELLO")).toEqual(hello);
    clock.advance(9_500);
    await expect(connecting).rejects.toMatchObject({
      code: "handshake-timeout",
      reason: { code: "handshake-timeout", awaiting: "HELLO_RETRY" },
    });
  });

  test("brings the cookie back in a HELLO of 54 bytes with seq 1, and acknowledges HELLO_RETRY without a MAC", async () => {
    const raw = await RawUdp.open();
    const abort = new AbortController();
    const connecting = open(raw.address, { transport: "udp", signal: abort.signal });
    const hello = await raw.expectFrame("HELLO");
    const cookie = new Uint8Array(randomBytes(16));
    await raw.send(encodeFrame(FrameType.HELLO_RETRY, 0, cookie));
    await raw.expectDatagram(encodeUtack(FrameType.HELLO_RETRY, 0));
    const second = await raw.expectFrame("HELLO");
    expect(second).toEqual(encodeFrame(FrameType.HELLO, 1, Buffer.concat([payloadOfBytes(hello), cookie])));
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("what the first frames are", () => {
  test("a server's first session frame is the application's, seq 0: no unasked PING goes first", async () => {
    const listening = await serve({ psk: TEST_PSK });
    const { ours, raw, keys } = await rawUdpClient(listening);
    const sent = ours.send("first");
    const frame = await raw.datagram();
    expect(describeDatagram(frame)).toBe("DATA");
    expect(keys.open(frame)).toMatchObject({ type: "DATA", seq: 0 });
    await raw.send(keys.utack(frame));
    await sent;
  });
});

function lengthened(frame: Uint8Array, by: number): Uint8Array {
  const copy = new Uint8Array(frame.length + by);
  copy.set(frame.subarray(0, copy.length));
  new DataView(copy.buffer).setUint16(8, copy.length - constants.HEADER_LENGTH, true);
  writeCrc(copy);
  return copy;
}
